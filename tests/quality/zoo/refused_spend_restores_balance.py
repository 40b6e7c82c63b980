"""Sound: takes the balance out to check it, and puts it back on every way out.

Looks like the budget that a refusal empties.
"""

from zoo_base import Account, Over, Reserving

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "refused_spend_destroys_balance"


class Restoring(Account):
    def require_room(self, amount):
        purse, self.available = self.available, 0
        try:
            if amount > purse:
                raise Over("too much")
        finally:
            self.available = purse


class Target(Reserving):
    account = Restoring
