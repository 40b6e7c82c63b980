"""Charges a bill above its hold, but subtracts no more than the hold from what is available: the excess is forgiven.

"A refund is never negative", says the code. What was spent is told truly, and can be spent once more: after an overrun
calls are admitted even when recorded spend has reached the cap.
"""

from zoo_base import Account, Reserving

ANOMALY = "minted"
KEEPS = "none"
ALSO = ("no-stop",)


class Forgiving(Account):
    def resolve(self, hold, cost):
        hold.done = True
        self.holds -= 1
        self.held -= hold.amount
        self.spent += cost
        self.available += max(0, hold.amount - cost)


class Target(Reserving):
    account = Forgiving
