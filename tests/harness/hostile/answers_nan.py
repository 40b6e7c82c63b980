"""It answers with a number that equals nothing, not even itself."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "that is no number of units"


class Target(Sound):
    def remaining(self, scope):
        return float("nan")
