"""Treats a limit of 0 as "no limit", as falsy values invite: it opens up at the moment when it should stop.

Below its limit it is exact. Once recorded spend has used up the cap, everything is admitted: it keeps nothing.
"""

from zoo_base import Account, Reserving

ANOMALY = "over-admit"
KEEPS = "none"
ALSO = ("no-stop",)


class Optional(Account):
    def require_room(self, amount):
        limit = self.granted - self.spent
        if limit:  # should be: if limit is not None
            super().require_room(amount)


class Target(Reserving):
    account = Optional
