"""Adds the bill with `spent += await provider()`: spent is read before the await and written afterwards.

Of two calls at once one is lost. Admission reserves rightly, but is then fooled by a spent that is too low; calls one
after the other are safe.
"""

from zoo_base import Over, Unique, Wrong, whole

from capsound.adapter import Adapter, Gate

ANOMALY = "ledger-drift"
KEEPS = "sequential"


class Budget(Unique):
    def __init__(self, cap):
        self.cap = cap
        self.kept = 0
        self.spent = 0


class Target(Adapter):
    gate = Gate.CALL
    refused = (Over,)
    rejected = (Wrong,)

    def open(self, cap):
        return Budget(whole(cap))

    async def call(self, scope, estimate, provider):
        if whole(estimate) > self.remaining(scope):
            raise Over("too much")
        scope.kept += estimate
        try:
            scope.spent += await provider()  # what others write meanwhile is overwritten
        except BaseException:
            scope.spent += estimate
            raise
        finally:
            scope.kept -= estimate

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.kept

    def remaining(self, scope):
        return scope.cap - scope.kept - scope.spent
