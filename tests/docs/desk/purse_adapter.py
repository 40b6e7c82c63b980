from capsound.adapter import Adapter


class OverBudget(Exception):
    pass


class Purse:
    def __init__(self, cap):
        self.available, self.held, self.spent = cap, 0, 0

    def reserve(self, amount):
        if amount > self.available:
            raise OverBudget(f"{amount} of {self.available}")
        self.available -= amount
        self.held += amount
        return self, amount

    def settle(self, amount, cost):
        self.held -= amount
        self.spent += cost
        self.available += amount - cost


class PurseAdapter(Adapter):
    refused = (OverBudget,)

    def open(self, cap):
        return Purse(cap)

    def reserve(self, scope, amount):
        return scope.reserve(amount)

    def settle(self, hold, actual):
        purse, amount = hold
        purse.settle(amount, actual)

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return scope.available
