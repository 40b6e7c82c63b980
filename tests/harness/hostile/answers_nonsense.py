"""It answers questions with something else."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "that is no number of units"


class Target(Sound):
    def spent(self, scope):
        return "a lot"
