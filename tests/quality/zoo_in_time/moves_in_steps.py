"""Sound: costs are kept in quarters of an hour and leave with them, and it says in how many steps its hour moves."""

from time_base import HOUR, Clocked, Sliding

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "slides_too_early"

QUARTER = HOUR // 4


class Stepping(Sliding):
    def counts(self, at):
        return self.now // QUARTER - at // QUARTER < 4


class Target(Clocked):
    budget = Stepping
    buckets = 4
