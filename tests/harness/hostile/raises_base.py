"""It raises what is no Exception."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "Target.settle raised Enough: no more"


class Enough(BaseException):
    pass


class Target(Sound):
    def settle(self, hold, actual):
        raise Enough("no more")
