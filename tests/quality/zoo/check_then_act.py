"""Checks whether a call fits and books it only when its bill arrives: every call in between is admitted as well.

The fan-out race of agents that share one counter. One agent alone is safe as long as no bill exceeds its estimate.
"""

from capsound.adapter import Adapter, Gate, Rejected

ANOMALY = "stale-admit"
KEEPS = "sequential"


class Counter:
    def __init__(self, cap):
        self.cap = cap
        self.spent = 0


def amount_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Rejected(f"{value!r} is not an amount")
    return value


class Target(Adapter):
    gate = Gate.CHECK
    strict = True

    def open(self, cap):
        return Counter(amount_of(cap))

    def check(self, scope, amount):
        return scope.spent + amount_of(amount) <= scope.cap  # what was let through before is not counted

    def record(self, scope, amount):
        scope.spent += amount_of(amount)

    def spent(self, scope):
        return scope.spent

    def remaining(self, scope):
        return scope.cap - scope.spent
