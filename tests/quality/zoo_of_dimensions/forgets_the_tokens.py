"""Holds the tokens of a call, and does not count them when it is settled: the cap on tokens never binds for long."""

from dimensions_base import Dimensions

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"


class Target(Dimensions):
    def settle(self, hold, actual):
        hold.budgets[0].resolve(hold, {**self.amounts(actual), "tokens": 0})
