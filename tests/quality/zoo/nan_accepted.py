"""Accepts NaN as an amount: it is neither below 0 nor above what is available, because every comparison is false.

From then on the balance is NaN as well, and nothing is refused any more. With valid amounts it is sound.
"""

from math import inf

from zoo_base import Account, Reserving, Wrong

ANOMALY = "bad-amount"
KEEPS = "overrun-bounded"


class Comparing(Account):
    def reserve(self, amount):
        if not isinstance(amount, int | float) or amount < 0 or amount == inf:
            raise Wrong(f"{amount!r} is not an amount")
        self.require_room(amount)
        return self.take(amount)


class Target(Reserving):
    account = Comparing
    strict = False
