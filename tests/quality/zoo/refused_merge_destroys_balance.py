"""Empties the source before checking whether it may be merged: a refused merge destroys what was in it.

Known from published merges that consume both handles even where they fail. Nothing is ever overspent.
"""

from zoo_base import Account, Merging

ANOMALY = "vanished"
KEEPS = "overrun-bounded"


class Emptying(Account):
    def merge(self, source):
        purse, source.available = source.available, 0
        if source is self:
            source.available = purse
        super().merge(source)  # may raise
        self.available += max(0, purse)
        source.available = min(0, purse)


class Target(Merging):
    account = Emptying
