"""It raises what only the user may raise."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "KeyboardInterrupt"


class Target(Sound):
    def settle(self, hold, actual):
        raise KeyboardInterrupt
