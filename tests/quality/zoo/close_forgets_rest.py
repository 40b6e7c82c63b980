"""Closes a slice and loses what was left in it: it is neither spent nor returned to the parent.

Safe, and after some sub-agents there is nothing left to spend.
"""

from zoo_base import Account, Slicing

ANOMALY = "vanished"
KEEPS = "overrun-bounded"


class Leaking(Account):
    def give(self, to):
        self.available = min(0, self.available)


class Target(Slicing):
    account = Leaking
