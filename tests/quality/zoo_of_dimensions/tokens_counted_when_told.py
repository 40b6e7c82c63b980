"""Holds money and requests, and counts tokens only when they were billed: calls in flight fill the same room twice."""

from dimensions_base import Budget, Dimensions

ANOMALY = "stale-admit"
ALSO = ("overshoot",)
KEEPS = "sequential"


class Late(Budget):
    def hold(self, name, amounts):
        if name != "tokens":
            self.held[name] += amounts[name]

    def resolve(self, hold, costs):
        if not hold.done:
            hold.amounts = {**hold.amounts, "tokens": 0}
        super().resolve(hold, costs)


class Target(Dimensions):
    of = Late

    def forfeit(self, hold):
        full = hold.amounts
        hold.budgets[0].resolve(hold, full)
