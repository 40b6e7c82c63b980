"""Returns the rest of a settled hold to the root instead of the slice that it was taken from.

One counter of what is free for the whole tree, and limits at the slices: nothing is overspent as a whole, but the
slice loses what its parent gains.
"""

from zoo_base import Account, Slicing

ANOMALY = "minted"
KEEPS = "concurrent"


class Upward(Account):
    def settle(self, hold, actual):
        super().settle(hold, actual)
        rest = max(0, hold.amount - actual)
        self.available -= rest
        self.root.available += rest


class Target(Slicing):
    account = Upward
