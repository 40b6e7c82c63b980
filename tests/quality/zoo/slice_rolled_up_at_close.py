"""A slice has its own limit, and its cost reaches the parent only when it is closed.

Until then the parent spends what its slices were promised. Known from budgets of sub-agents that are summed up when
they return.
"""

from zoo_base import Account, Slicing

ANOMALY = "minted"
KEEPS = "concurrent"


class RolledUp(Account):
    def delegate(self, amount):
        child = super().delegate(amount)
        self.available += amount  # until it is closed
        return child

    def give(self, to):
        to.available -= self.granted
        super().give(to)


class Target(Slicing):
    account = RolledUp
