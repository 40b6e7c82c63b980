"""Sound: a second settlement of a hold is not an error and moves nothing; the first one counts.

Looks like the budget in which the money moves twice. It answers "done" both times, and its books do not change.
"""

from zoo_base import Account, Reserving

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "double_settle_moves_twice"


class Idempotent(Account):
    def resolve(self, hold, cost):
        if not hold.done:
            super().resolve(hold, cost)

    def require_unused(self, hold):
        pass


class Target(Reserving):
    account = Idempotent
    strict = False

    def sent(self, hold):
        if not hold.done:
            hold.account.send(hold)
