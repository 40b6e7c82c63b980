"""Costs are kept in buckets of a quarter of an hour, and leave when an hour has passed since their bucket began."""

from time_base import HOUR, Clocked, Sliding

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"

QUARTER = HOUR // 4


class Rounded(Sliding):
    def counts(self, at):
        return self.now - at // QUARTER * QUARTER < HOUR


class Target(Clocked):
    budget = Rounded
