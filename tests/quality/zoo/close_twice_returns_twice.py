"""Closes a slice as often as asked, and each time returns its rest to the parent again.

Typical of a close in the body and another in `finally`. What is handed out never falls below 0 here, so that the parent
spends what other slices still have; its own limit holds.
"""

from zoo_base import Account, Slicing

ANOMALY = "use-after-move"
KEEPS = "concurrent"


class Repeating(Account):
    out = 0

    def delegate(self, amount):
        child = super().delegate(amount)
        self.out += amount
        return child

    def close(self):
        self.require_idle()
        if not self.closed:
            self.end()
        if self.parent is not None:
            rest = min(self.parent.out, max(0, self.available))  # what was left stays in the slice
            self.parent.out -= rest
            self.parent.available += rest


class Target(Slicing):
    account = Repeating
