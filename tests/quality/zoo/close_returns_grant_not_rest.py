"""Returns to the parent all that a closed slice was granted instead of what is left of it.

What the slice has spent is there a second time. Roots without slices are sound.
"""

from zoo_base import Account, Slicing

ANOMALY = "minted"
KEEPS = "concurrent"


class Generous(Account):
    def give(self, to):
        self.available = min(0, self.available)
        to.available += self.granted


class Target(Slicing):
    account = Generous
