"""Gives a hold back to "the" budget, the one opened first, whichever it was taken from.

A refund into somebody else's budget, as a default budget in a module or a context makes it. The other root can then
spend more than its cap, and is not stopped there.
"""

from zoo_base import Reserving

ANOMALY = "minted"
KEEPS = "none"


class Target(Reserving):
    def __init__(self):
        self.default = None

    def open(self, cap):
        account = super().open(cap)
        self.default = self.default or account
        return account

    def release(self, hold):
        super().release(hold)
        hold.account.available -= hold.amount
        self.default.available += hold.amount
