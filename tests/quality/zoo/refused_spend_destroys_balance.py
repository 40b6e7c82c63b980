"""Takes the balance out to check it, and does not put it back when the call does not fit.

Known from published budgets whose spend consumes the handle even where it fails. A refusal empties
the budget: it is safe, and useless from then on.
"""

from zoo_base import Account, Over, Reserving

ANOMALY = "vanished"
KEEPS = "overrun-bounded"


class Consuming(Account):
    def require_room(self, amount):
        purse = max(0, self.available)  # a debt stays where it is
        self.available -= purse
        if amount > self.available + purse:
            raise Over("too much")  # and the purse is lost
        self.available += purse


class Target(Reserving):
    account = Consuming
