"""Asks every ceiling and holds in the call's own only: two sessions fill their team twice."""

from ceilings_base import Ceiling, Ceilings, Hold, Used, whole

ANOMALY = "stale-admit"
ALSO = ("overshoot",)
KEEPS = "sequential"


class Shallow(Ceiling):
    def reserve(self, amount):
        whole(amount)
        for ceiling in self.path:
            ceiling.require_room(amount)
        self.held += amount
        return Hold(self.path, amount)

    def resolve(self, hold, cost):
        whole(cost)
        if hold.done:
            raise Used("the hold was resolved")
        hold.done = True
        self.held -= hold.amount
        for ceiling in hold.ceilings:
            ceiling.spent += cost


class Target(Ceilings):
    of = Shallow
