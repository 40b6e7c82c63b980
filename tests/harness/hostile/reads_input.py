"""It waits for somebody to type."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "EOFError"


class Target(Sound):
    def settle(self, hold, actual):
        input("how much? ")
