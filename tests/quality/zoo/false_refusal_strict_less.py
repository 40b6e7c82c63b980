"""Admits less than what is available, and refuses exactly as much.

The last units of a budget can never be spent. Safe.
"""

from capsound.adapter import Adapter, Refused, Rejected, Stale

ANOMALY = "false-refusal"
KEEPS = "overrun-bounded"


class Budget:
    def __init__(self, cap):
        self.free = cap
        self.kept = 0
        self.spent = 0

    def __reduce_ex__(self, protocol):
        raise TypeError("a budget cannot be copied")


class Hold(Budget):
    def __init__(self, budget, amount):
        self.budget = budget
        self.amount = amount
        self.open = True


def amount_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Rejected(f"{value!r} is not an amount")
    return value


class Target(Adapter):
    strict = True

    def open(self, cap):
        return Budget(amount_of(cap))

    def reserve(self, scope, amount):
        if not amount_of(amount) < scope.free:
            raise Refused("too much")
        scope.free -= amount
        scope.kept += amount
        return Hold(scope, amount)

    def settle(self, hold, actual):
        cost, budget = amount_of(actual), hold.budget
        if not hold.open:
            raise Stale("settled before")
        hold.open = False
        budget.kept -= hold.amount
        budget.spent += cost
        budget.free += hold.amount - cost

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.kept

    def remaining(self, scope):
        return scope.free
