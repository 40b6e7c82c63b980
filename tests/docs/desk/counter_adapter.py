from capsound.adapter import Adapter, Gate


class Counter:
    def __init__(self, cap):
        self.cap = cap
        self.spent = 0

    def fits(self, estimate):
        return self.spent + estimate <= self.cap

    def add(self, cost):
        self.spent += cost


class CounterAdapter(Adapter):
    gate = Gate.CHECK  # ask whether it fits, send, record

    def open(self, cap):
        return Counter(cap)

    def check(self, scope, amount):
        return scope.fits(amount)

    def record(self, scope, amount):
        scope.add(amount)

    def spent(self, scope):
        return scope.spent

    def remaining(self, scope):
        return scope.cap - scope.spent
