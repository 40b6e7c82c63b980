"""Refuses only once the total has reached the cap, and never considers what the next call may cost.

The budget callbacks that compare after each reply. The last call that is let through may exceed the cap by all of
its cost; after that nothing is admitted any more.
"""

from capsound.adapter import Adapter, Gate, Rejected

ANOMALY = "over-admit"
KEEPS = "stops"


class Usage:
    def __init__(self, cap):
        self.cap = cap
        self.total = 0


def amount_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Rejected(f"{value!r} is not an amount")
    return value


class Target(Adapter):
    gate = Gate.CHECK
    strict = True

    def open(self, cap):
        return Usage(amount_of(cap))

    def check(self, scope, amount):
        return scope.total + amount_of(amount) <= scope.cap or scope.total < scope.cap

    def record(self, scope, amount):
        scope.total += amount_of(amount)

    def spent(self, scope):
        return scope.total

    def remaining(self, scope):
        return scope.cap - scope.total
