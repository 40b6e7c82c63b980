"""It calls itself without end."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "RecursionError"


class Target(Sound):
    def settle(self, hold, actual):
        self.settle(hold, actual)
