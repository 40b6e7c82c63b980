"""Admits calls on a closed slice, out of what it has returned to its parent.

A sub-agent that goes on after it has reported back. The slice and its parent spend the same money.
"""

from zoo_base import Account, Slicing

ANOMALY = "use-after-move"
KEEPS = "concurrent"


class Lingering(Account):
    def reserve(self, amount):
        self.closed, was = False, self.closed
        try:
            return super().reserve(amount)
        finally:
            self.closed = was

    def give(self, to):
        to.available += max(0, self.available)  # and it stays in the slice


class Target(Slicing):
    account = Lingering
