from capsound.adapter import Adapter, Refused

HOUR = 3_600


class Hourly:
    def __init__(self, cap, clock):
        self.cap, self.clock = cap, clock
        self.held = 0
        self.costs = []  # when, and how much

    def spent(self):
        return sum(cost for at, cost in self.costs if self.clock.now - at < HOUR)

    def free(self):
        return self.cap - self.spent() - self.held


class HourlyAdapter(Adapter):
    window = "sliding 1 h"
    now = 0  # until it is told another time

    def clock(self, now):
        self.now = now // 1_000_000_000  # whole seconds are exact

    def open(self, cap):
        return Hourly(cap, self)

    def reserve(self, scope, amount):
        if amount > scope.free():
            raise Refused("too much for this hour")
        scope.held += amount
        return scope, amount

    def settle(self, hold, actual):
        scope, amount = hold
        scope.held -= amount
        scope.costs.append((self.now, actual))

    def spent(self, scope):
        return scope.spent()

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return scope.free()
