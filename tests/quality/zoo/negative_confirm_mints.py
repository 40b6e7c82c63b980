"""Accepts a negative cost when a call is confirmed: spent falls, and more is available than was ever granted.

Known from published budgets that check the amount of a reservation and not that of its confirmation.
With valid amounts it is sound.
"""

from zoo_base import Account, Reserving, Wrong

ANOMALY = "bad-amount"
KEEPS = "overrun-bounded"


class Believing(Account):
    def settle(self, hold, actual):
        if isinstance(actual, bool) or not isinstance(actual, int):
            raise Wrong(f"{actual!r} is not an amount")
        self.require_unused(hold)
        self.resolve(hold, actual)


class Target(Reserving):
    account = Believing
