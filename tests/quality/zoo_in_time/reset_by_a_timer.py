"""Sound: it knows no clock. Who calls reset at the end of a period sets to 0 what is spent, and no hold."""

from time_base import Clocked, Fixed

from capsound.adapter import Adapter

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "reset_by_a_timer_clears_all"


class Timed(Fixed):
    def counts(self, at):
        return True

    def reset(self):
        self.costs.clear()


class Target(Clocked):
    budget = Timed
    clock = Adapter.clock  # not offered

    def reset(self, scope):
        scope.reset()
