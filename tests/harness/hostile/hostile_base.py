"""A sound budget with an adapter, for targets that misbehave in one way each."""

from capsound.adapter import Adapter, Refused, Rejected, Stale


def whole(amount):
    if type(amount) is not int or amount < 0:
        raise Rejected(f"{amount!r} is not an amount")
    return amount


class Budget:
    def __init__(self, cap):
        self.available, self.held, self.spent, self.open = whole(cap), 0, 0, set()

    def __reduce_ex__(self, protocol):
        raise TypeError("a copy of a budget would be a second budget")


class Sound(Adapter):
    def open(self, cap):
        return Budget(cap)

    def reserve(self, scope, amount):
        if whole(amount) > scope.available:
            raise Refused
        scope.available -= amount
        scope.held += amount
        hold = (scope, amount, object())
        scope.open.add(hold)
        return hold

    def settle(self, hold, actual):
        scope, amount, _ = hold
        whole(actual)
        if hold not in scope.open:
            raise Stale
        scope.open.remove(hold)
        scope.held -= amount
        scope.spent += actual
        scope.available += amount - actual

    def forfeit(self, hold):
        self.settle(hold, hold[1])

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return scope.available
