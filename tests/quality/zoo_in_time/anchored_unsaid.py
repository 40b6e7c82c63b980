"""Its hours begin with the budget, where those of the clock are promised."""

from anchored_window import Anchored
from time_base import Clocked

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"


class Target(Clocked):
    budget = Anchored
