"""It goes round for ever, and can be interrupted."""

from hostile_base import Sound

VERDICT, EVIDENCE = "violated", "hang"


class Target(Sound):
    def settle(self, hold, actual):
        while True:
            pass
