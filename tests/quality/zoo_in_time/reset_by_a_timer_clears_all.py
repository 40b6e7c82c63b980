"""Who calls reset at the end of a period gets a new budget: the holds of calls in flight are gone with the old one."""

from time_base import Clocked, Fixed

from capsound.adapter import Adapter

ANOMALY = "stale-admit"
ALSO = ("window-leak",)
KEEPS = "sequential"


class Timed(Fixed):
    def __init__(self, cap, clock):
        super().__init__(cap, clock)
        self.before = []

    @property
    def held(self):
        return sum(hold.amount for hold in self.holds if hold not in self.before)

    def counts(self, at):
        return True

    def reset(self):
        self.costs.clear()
        self.before = list(self.holds)


class Target(Clocked):
    budget = Timed
    clock = Adapter.clock  # not offered

    def reset(self, scope):
        scope.reset()
