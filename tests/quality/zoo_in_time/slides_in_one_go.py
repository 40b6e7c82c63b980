"""As soon as the oldest cost is an hour old, all of them are dropped."""

from time_base import HOUR, Clocked, Sliding

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"


class Dropping(Sliding):
    @property
    def spent(self):
        if self.costs and self.now - self.costs[0][0] >= HOUR:
            self.costs.clear()
        return super().spent


class Target(Clocked):
    budget = Dropping
