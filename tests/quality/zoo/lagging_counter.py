"""Each replica adds up what it has spent and writes it to the shared counter at every second settlement only.

What is not written yet is missing from the check of all of them: a counter that is flushed now and then, to spare the
store. The holds of calls in flight are kept; what lags is what was spent.
"""

from zoo_base import Account, Reserving

ANOMALY = "ledger-drift"
ALSO = ("over-admit", "overshoot")
KEEPS = "stops"

EVERY = 2


class Lagging(Account):
    def __init__(self, granted, parent=None):
        super().__init__(granted, parent)
        self.unwritten = 0
        self.settled = 0

    def resolve(self, hold, cost):
        hold.done = True
        self.holds -= 1
        self.held -= hold.amount
        self.available += hold.amount
        self.unwritten += cost
        self.settled += 1
        if self.settled % EVERY == 0:
            self.write()

    def write(self):
        self.spent += self.unwritten
        self.available -= self.unwritten
        self.unwritten = 0


class Target(Reserving):
    account = Lagging
