"""Charges no more than the hold: if the bill was larger, the excess is lost.

Published budgets clamp the cost when they commit. While bills stay within their holds nothing is wrong; above them
the ledger no longer tells the truth, and the same money is given out again.
"""

from zoo_base import Account, Reserving

ANOMALY = "dropped-overrun"
KEEPS = "fault-tolerant"


class Clamped(Account):
    def resolve(self, hold, cost):
        super().resolve(hold, min(cost, hold.amount))


class Target(Reserving):
    account = Clamped
