"""It ends the process, past every handler."""

import os

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "exited with status 3, in the last step of: open(new=0, amount="


class Target(Sound):
    def settle(self, hold, actual):
        os._exit(3)
