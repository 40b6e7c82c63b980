"""Holds live for 30 seconds, whether or not their request has left: the provider bills the call all the same.

What comes late is charged in full; but by then the room was admitted again.
"""

from time_base import Clocked, Fixed, Used

ANOMALY = "expired-hold"
KEEPS = "sequential"


class Mortal(Fixed):
    window = ""

    def counts(self, at):
        return True

    def lives(self, hold):
        return self.now - hold.made < 30

    @property
    def held(self):
        return sum(hold.amount for hold in self.holds if self.lives(hold))

    def send(self, hold):
        if not self.lives(hold):
            raise Used("the hold has expired")
        super().send(hold)

    def resolve(self, hold, cost):
        if hold.sent is None and not self.lives(hold):
            raise Used("the hold has expired")
        super().resolve(hold, cost)


class Target(Clocked):
    budget = Mortal
    expires = 30
