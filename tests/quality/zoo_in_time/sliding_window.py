"""Sound: a cost counts until an hour after its settlement."""

from time_base import Clocked, Sliding

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "slides_in_one_go"


class Target(Clocked):
    budget = Sliding
