"""The last second of an hour counts as the first of the next."""

from time_base import HOUR, Clocked, Fixed

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"


class Off(Fixed):
    def counts(self, at):
        return (at + 1) // HOUR == (self.now + 1) // HOUR


class Target(Clocked):
    budget = Off
