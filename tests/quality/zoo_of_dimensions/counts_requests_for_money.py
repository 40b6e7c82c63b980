"""Counts a request as one unit of money: the cap on money is one on calls."""

from dimensions_base import NAMES, Dimensions

from capsound.sizes import size_in

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"


class Target(Dimensions):
    def counted(self, amount):
        return {name: size_in(amount, "requests" if name == "money" else name) for name in NAMES}

    def reserve(self, scope, amount):
        return scope.reserve(self.counted(amount))

    def settle(self, hold, actual):
        hold.budgets[0].resolve(hold, self.counted(actual))
