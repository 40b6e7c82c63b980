"""Sound: keeps the cost in cents, 7/10 of a cent for each unit, as an exact fraction.

Looks like the budget that drifts with its floats.
"""

from fractions import Fraction

from zoo_base import Account, Reserving

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "float_drift"
PRICE = Fraction(7, 10)


class Priced(Account):
    cents = Fraction(0)

    def resolve(self, hold, cost):
        super().resolve(hold, cost)
        self.cents += cost * PRICE


class Target(Reserving):
    account = Priced

    def spent(self, scope):
        return int(scope.cents / PRICE)
