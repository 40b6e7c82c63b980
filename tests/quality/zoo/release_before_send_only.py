"""Sound: gives a hold back in full before its request leaves, and refuses a later release.

Looks like the budget whose release works at any time. What was sent keeps its hold, because its bill is open.
"""

from zoo_base import Account, Reserving, Wrong

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "release_after_send"


class Careful(Account):
    def release(self, hold):
        self.require_unused(hold)
        if hold.sent:
            raise Wrong("the request has left: settle it, or write it off")
        self.resolve(hold, cost=0)


class Target(Reserving):
    account = Careful
