"""Converts every argument to `int`: "5" from a form or a header counts as 5.

It guesses where it should refuse. With valid amounts it is sound.
"""

from zoo_base import Account, Over, Reserving, Used, Wrong

ANOMALY = "bad-amount"
KEEPS = "overrun-bounded"


class Coercing(Account):
    def reserve(self, amount):
        return super().reserve(int(amount))

    def settle(self, hold, actual):
        super().settle(hold, int(actual))


class Target(Reserving):
    account = Coercing
    strict = False
    refused = (Over,)
    rejected = (Wrong, ValueError, OverflowError, TypeError)
    stale = (Used,)
