"""A cost counts from the moment at which the request left: the bill comes later, and counts for longer."""

from time_base import Clocked, Sliding

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"


class Early(Sliding):
    def stamp(self, hold):
        return self.now if hold.sent is None else hold.sent


class Target(Clocked):
    budget = Early
