"""It closes every file of the process."""

import os

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "the process that ran it"


class Target(Sound):
    def settle(self, hold, actual):
        os.closerange(0, 200)
