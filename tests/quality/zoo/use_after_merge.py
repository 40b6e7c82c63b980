"""Admits calls on an account that was merged into another, out of what has moved there.

The source of a merge stays alive, and both handles spend the same money.
"""

from zoo_base import Account, Merging

ANOMALY = "use-after-move"
KEEPS = "concurrent"


class Surviving(Account):
    merged = False

    def require_open(self):
        if not self.merged:
            super().require_open()

    def delegate(self, amount):
        super().require_open()
        return super().delegate(amount)

    def close(self):
        super().require_open()
        super().close()

    def merge(self, source):
        for account in (self, source):
            Account.require_open(account)
        purse = source.available
        super().merge(source)
        source.available, source.merged = purse, True


class Target(Merging):
    account = Surviving
