"""Makes an `int` of whatever it is given: "5" is taken for 5, which came from a form or a header.

It guesses where it should refuse. With amounts that are amounts it is sound.
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
