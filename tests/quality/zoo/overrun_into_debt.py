"""Sound: charges a bill above its hold in full, and the account stays in debt until slices return enough.

Looks like a budget that lets a bill exceed its hold; it does so because the provider has billed it already.
"""

from zoo_base import Unique

from capsound.adapter import Adapter, Refused, Rejected, Stale

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "commit_above_hold_drops_excess"


class Budget(Unique):
    def __init__(self, cap):
        self.free = amount_of(cap)
        self.spent = 0
        self.open = {}
        self.made = 0


def amount_of(value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Rejected(f"{value!r} is not an amount")
    return value


class Target(Adapter):
    strict = True

    def open(self, cap):
        return Budget(cap)

    def reserve(self, scope, amount):
        if amount_of(amount) > scope.free:
            raise Refused("in debt" if scope.free < 0 else "too much")
        scope.free -= amount
        scope.made += 1
        scope.open[scope.made] = amount
        return (scope, scope.made)

    def settle(self, hold, actual):
        (scope, number), cost = hold, amount_of(actual)
        if number not in scope.open:
            raise Stale("resolved before")
        scope.spent += cost
        scope.free += scope.open.pop(number) - cost  # below 0 where the bill was above the hold

    def forfeit(self, hold):
        scope, number = hold
        self.settle(hold, scope.open.get(number, 0))

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return sum(scope.open.values())

    def remaining(self, scope):
        return scope.free
