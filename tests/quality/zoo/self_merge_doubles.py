"""Merges an account with itself, which doubles it: the sum is taken before the source is emptied.

Known from published merges that never compare the two handles. What is too much is given out even when recorded
spend has reached the cap.
"""

from zoo_base import Account, Merging

ANOMALY = "minted"
KEEPS = "none"


class Doubling(Account):
    def merge(self, source):
        if source is not self:
            super().merge(source)
            return
        self.require_open()
        both = self.available + source.available
        source.available = 0
        self.available = both


class Target(Merging):
    account = Doubling
