"""It asks the interpreter to leave, with success."""

import sys

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "Target.settle raised SystemExit: 0"


class Target(Sound):
    def settle(self, hold, actual):
        sys.exit(0)
