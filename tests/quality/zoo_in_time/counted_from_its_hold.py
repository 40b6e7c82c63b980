"""A cost counts in the hour in which it was held: one that is billed in the next is missing there."""

from time_base import Clocked, Fixed

ANOMALY = "ledger-drift"
ALSO = ("window-leak",)
KEEPS = "stops"


class Early(Fixed):
    def stamp(self, hold):
        return hold.made


class Target(Clocked):
    budget = Early
