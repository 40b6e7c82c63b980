"""It ends the process with status 0, as if all were done."""

import os

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "exited with status 0"


class Target(Sound):
    def reserve(self, scope, amount):
        os._exit(0)
