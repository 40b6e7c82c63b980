"""A reset sets what is held to 0, and the settlement that follows subtracts its hold all the same: the cap has grown."""

from time_base import HOUR, Clocked, Fixed

ANOMALY = "stale-admit"
ALSO = ("window-leak", "over-admit")
KEEPS = "none"


class Negative(Fixed):
    def __init__(self, cap, clock):
        super().__init__(cap, clock)
        self.hour = None
        self.reserved = 0

    @property
    def held(self):
        if self.hour != self.now // HOUR:
            self.hour, self.reserved = self.now // HOUR, 0
        return self.reserved

    def reserve(self, amount):
        hold = super().reserve(amount)
        self.reserved += amount
        return hold

    def resolve(self, hold, cost):
        super().resolve(hold, cost)
        self.reserved = self.held - hold.amount


class Target(Clocked):
    budget = Negative
