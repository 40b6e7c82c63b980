"""Sound: all ceilings are asked before the first of them holds anything."""

from ceilings_base import Ceilings

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "held_one_by_one"


class Target(Ceilings):
    pass
