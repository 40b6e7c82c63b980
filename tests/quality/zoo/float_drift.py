"""Keeps the cost in floats, 0.7 cents for each unit, and truncates it to whole cents in its answers.

Three units cost 2.0999999999999996 cents, which are two units. What is reserved is counted in whole units apart from
that, so that only what it says is wrong.
"""

from zoo_base import Account, Reserving

ANOMALY = "ledger-drift"
KEEPS = "fault-tolerant"
PRICE = 0.7


class Priced(Account):
    cents = 0.0

    def resolve(self, hold, cost):
        super().resolve(hold, cost)
        self.cents += cost * PRICE


class Target(Reserving):
    account = Priced

    def spent(self, scope):
        return int(scope.cents / PRICE)
