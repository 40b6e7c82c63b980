"""The books are set to 0 by the first settlement of an hour: until then what was spent in the last one is in the way."""

from time_base import HOUR, Clocked, Fixed

ANOMALY = "ledger-drift"
ALSO = ("false-refusal",)
KEEPS = "fault-tolerant"


class Lazy(Fixed):
    def __init__(self, cap, clock):
        super().__init__(cap, clock)
        self.hour = None

    def counts(self, at):
        return at // HOUR == self.hour

    def stamp(self, hold):
        self.hour = self.now // HOUR
        return self.now


class Target(Clocked):
    budget = Lazy
