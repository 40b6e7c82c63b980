"""Sound: each hour begins with nothing spent and with the holds of the calls in flight."""

from time_base import Clocked

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "reset_forgets_holds"


class Target(Clocked):
    pass
