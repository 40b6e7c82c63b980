"""Hands out slices without checking what the parent has: together they exceed it.

Each slice is exact in itself. Roots without slices are sound.
"""

from zoo_base import Account, Slicing, whole

ANOMALY = "minted"
KEEPS = "concurrent"


class Promising(Account):
    def delegate(self, amount):
        self.require_open()
        self.available -= whole(amount)
        self.slices += 1
        return type(self)(amount, self)


class Target(Slicing):
    account = Promising
