"""At the full hour all books begin at 0, those of the holds as well: calls in flight are billed on top of the new cap."""

from time_base import HOUR, Clocked, Fixed

ANOMALY = "stale-admit"
ALSO = ("window-leak",)
KEEPS = "sequential"


class Forgetful(Fixed):
    @property
    def held(self):
        return sum(hold.amount for hold in self.holds if hold.made // HOUR == self.now // HOUR)


class Target(Clocked):
    budget = Forgetful
