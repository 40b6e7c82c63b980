"""Sound: a hold is a number, and the books know which numbers are open; only one of its copies can be resolved.

Looks like the budget whose receipts are plain values.
"""

from zoo_base import Unique, Used, Wrong, whole

from capsound.adapter import Adapter, Refused

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "copied_hold_resolves_twice"


class Books(Unique):
    def __init__(self, cap):
        self.cap = cap
        self.spent = 0
        self.kept = {}
        self.sent = set()
        self.made = 0

    def resolve(self, number, cost):
        if self.kept.pop(number, None) is None:
            raise Used("resolved before")
        self.spent += cost


class Receipt:
    def __init__(self, books, number):
        self.books = books
        self.number = number

    def __deepcopy__(self, memo):
        return Receipt(self.books, self.number)


class Target(Adapter):
    strict = True
    stale = (Used,)
    rejected = (Wrong,)

    def open(self, cap):
        return Books(whole(cap))

    def reserve(self, scope, amount):
        if whole(amount) > self.remaining(scope):
            raise Refused("too much")
        scope.made += 1
        scope.kept[scope.made] = amount
        return Receipt(scope, scope.made)

    def sent(self, hold):
        if hold.number not in hold.books.kept:
            raise Used("resolved before")
        hold.books.sent.add(hold.number)

    def settle(self, hold, actual):
        hold.books.resolve(hold.number, whole(actual))

    def release(self, hold):
        if hold.number in hold.books.kept and hold.number in hold.books.sent:
            raise Wrong("the request has left")
        hold.books.resolve(hold.number, 0)

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return sum(scope.kept.values())

    def remaining(self, scope):
        return scope.cap - scope.spent - sum(scope.kept.values())
