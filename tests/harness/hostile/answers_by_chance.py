"""It says what it has spent by chance: no run repeats."""

import random

from hostile_base import Sound

VERDICT, EVIDENCE = "violated", "ledger-drift"


class Target(Sound):
    def spent(self, scope):
        return random.randrange(3)
