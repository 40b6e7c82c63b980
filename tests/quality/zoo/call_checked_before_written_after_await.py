"""A wrapper that checks its counter before the await and adds to it afterwards: nothing is set aside.

The in-memory counter of many agent loops. Calls one after the other are safe; two at once pass the same check.
A call that fails is written off at its estimate, so that errors are not what is wrong here.
"""

from zoo_base import Over, Wrong, whole

from capsound.adapter import Adapter, Gate

ANOMALY = "stale-admit"
KEEPS = "sequential"


class Counter:
    def __init__(self, cap):
        self.cap = cap
        self.spent = 0


class Target(Adapter):
    gate = Gate.CALL
    refused = (Over,)
    rejected = (Wrong,)

    def open(self, cap):
        return Counter(whole(cap))

    async def call(self, scope, estimate, provider):
        if scope.spent + whole(estimate) > scope.cap:
            raise Over("the budget is used up")
        cost = estimate
        try:
            cost = await provider()  # others pass the check meanwhile
        finally:
            scope.spent += cost
        return cost

    def spent(self, scope):
        return scope.spent

    def remaining(self, scope):
        return scope.cap - scope.spent
