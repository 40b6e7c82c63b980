"""Counts what was spent and refuses nothing: a callback that sees the usage after each reply.

Frequent in agent frameworks, where the budget is a number on a dashboard. It keeps nothing.
"""

from capsound.adapter import Adapter, Gate, Rejected

ANOMALY = "over-admit"
KEEPS = "none"
ALSO = ("no-stop",)


class Usage:
    def __init__(self, cap):
        self.cap = cap
        self.total = 0


def amount_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Rejected(f"{value!r} is not an amount")
    return value


class Target(Adapter):
    gate = Gate.RECORD
    strict = True

    def open(self, cap):
        return Usage(amount_of(cap))

    def record(self, scope, amount):
        scope.total += amount_of(amount)

    def spent(self, scope):
        return scope.total

    def remaining(self, scope):
        return scope.cap - scope.total
