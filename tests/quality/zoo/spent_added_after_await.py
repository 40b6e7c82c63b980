"""Sound: waits for the bill, and then adds it to spent: nothing can run between reading and writing.

Looks like the wrapper that loses updates; two lines instead of one are all the difference.
"""

from zoo_base import Over, Unique, Wrong, whole

from capsound.adapter import Adapter, Gate

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "lost_update"


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
            bill = await provider()
        except BaseException:
            bill = estimate
            raise
        finally:
            scope.kept -= estimate
            scope.spent += bill

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.kept

    def remaining(self, scope):
        return scope.cap - scope.kept - scope.spent
