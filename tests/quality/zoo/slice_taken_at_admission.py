"""Sound: opening a slice moves nothing; the parent subtracts its slices at every admission.

Looks like the budget that forgets to debit the parent. What a slice was granted and has not
given back is not available.
"""

from zoo_base import Unique, Used, Wrong, whole

from capsound.adapter import Adapter, Granted, Refused

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "slice_not_taken_from_parent"


class Node(Unique):
    def __init__(self, granted):
        self.granted = granted
        self.spent = 0
        self.holds = []
        self.slices = []
        self.closed = False

    def room(self):
        return self.granted - self.spent - sum(self.holds) - sum(child.granted for child in self.slices)

    def admit(self, amount):
        if self.closed:
            raise Used("closed")
        if whole(amount) > self.room():
            raise Refused("too much")


class Hold(Unique):
    def __init__(self, node, amount):
        self.node = node
        self.amount = amount


class Target(Adapter):
    rejected = (Wrong,)
    stale = (Used,)

    def open(self, cap):
        return Node(whole(cap))

    def delegate(self, scope, amount):
        scope.admit(amount)
        scope.slices.append(Node(amount))
        return Granted(scope.slices[-1], amount)

    def close(self, scope):
        if scope.closed or scope.holds or any(not child.closed for child in scope.slices):
            raise Wrong("closed, or still in use")
        scope.closed = True
        scope.granted -= max(0, scope.room())  # what is left is the parent's again

    def reserve(self, scope, amount):
        scope.admit(amount)
        scope.holds.append(amount)
        return Hold(scope, amount)

    def settle(self, hold, actual):
        if hold.node is None:
            raise Used("settled before")
        hold.node.spent += whole(actual)
        hold.node.holds.remove(hold.amount)
        hold.node = None

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return sum(scope.holds)

    def remaining(self, scope):
        return scope.room()
