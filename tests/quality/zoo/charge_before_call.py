"""Sound: checks and debits the estimate in one step before the call, and gives nothing back.

Looks like the counter that is checked first and written later. It spends more than it is billed, never less under
bills within their estimates, and what is above an estimate was never promised to be known.
"""

from zoo_base import Unique, Wrong, whole

from capsound.adapter import Adapter, Gate, Refused

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "check_then_act"


class Purse(Unique):
    def __init__(self, cap):
        self.left = cap
        self.spent = 0


class Target(Adapter):
    gate = Gate.CHARGE
    rejected = (Wrong,)

    def open(self, cap):
        return Purse(whole(cap))

    def charge(self, scope, amount):
        if whole(amount) > scope.left:
            raise Refused("too much")
        scope.left -= amount
        scope.spent += amount

    def spent(self, scope):
        return scope.spent

    def remaining(self, scope):
        return scope.left
