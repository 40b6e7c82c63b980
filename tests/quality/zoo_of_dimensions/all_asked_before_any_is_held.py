"""Sound: every dimension is asked before the first of them holds anything."""

from dimensions_base import Dimensions

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "holds_one_dimension_and_leaks"


class Target(Dimensions):
    pass
