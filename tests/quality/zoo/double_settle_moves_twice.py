"""A hold is a bare number of units: a second commit of it goes unnoticed, and the money moves twice.

Known from budgets whose receipts can be resolved twice. What is held never falls below 0 here, so that the hold of
somebody else pays for the second time; what is recorded as spent only grows, so that it still stops.
"""

from capsound.adapter import Adapter, Refused, Rejected

ANOMALY = "double-settle"
KEEPS = "stops"


class Pool:
    def __init__(self, cap):
        self.cap = cap
        self.held = 0
        self.spent = 0

    def __reduce_ex__(self, protocol):
        raise TypeError("a pool cannot be copied")


def amount_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Rejected(f"{value!r} is not an amount")
    return value


class Target(Adapter):
    def open(self, cap):
        return Pool(amount_of(cap))

    def reserve(self, scope, amount):
        if amount_of(amount) > self.remaining(scope):
            raise Refused("too much")
        scope.held += amount
        return (scope, amount)

    def settle(self, hold, actual):
        (scope, amount), cost = hold, amount_of(actual)
        scope.held = max(0, scope.held - amount)
        scope.spent += cost

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return scope.cap - scope.held - scope.spent
