"""Gives a slice to a sub-agent without debiting the parent: the same money can be spent in both.

The copied slice. Roots without slices are sound.
"""

from zoo_base import Account, Slicing

ANOMALY = "minted"
KEEPS = "concurrent"


class Copying(Account):
    def delegate(self, amount):
        child = super().delegate(amount)
        self.available += amount
        return child

    def give(self, to):
        self.available -= max(0, self.available)  # it never left the parent


class Target(Slicing):
    account = Copying
