"""Sound: accepts whole floats, and compares in a way that rejects NaN.

Looks like the budget that takes NaN: it compares as little, the other way round.
"""

from math import inf

from zoo_base import Account, Reserving, Wrong

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "nan_accepted"


def whole_enough(value):
    if not isinstance(value, int | float) or not 0 <= value < inf or value != int(value):
        raise Wrong(f"{value!r} is not an amount")
    return int(value)


class Lenient(Account):
    def reserve(self, amount):
        return super().reserve(whole_enough(amount))

    def settle(self, hold, actual):
        super().settle(hold, whole_enough(actual))


class Target(Reserving):
    account = Lenient
    strict = False

    def open(self, cap):
        return Lenient(whole_enough(cap))
