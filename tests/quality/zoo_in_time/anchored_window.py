"""Sound: its hours begin with the budget, not with the clock, and it says so."""

from time_base import HOUR, Clocked, Fixed

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "anchored_unsaid"


class Anchored(Fixed):
    def __init__(self, cap, clock):
        super().__init__(cap, clock)
        self.start = self.now

    def counts(self, at):
        return (at - self.start) // HOUR == (self.now - self.start) // HOUR


class Target(Clocked):
    budget = Anchored
    anchored = True
