"""Sound: writes what it has spent to the shared counter with every settlement, before the hold is given back.

Looks like the counter that is written now and then: it adds up for itself as well.
"""

from zoo_base import Account, Reserving

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "lagging_counter"


class Written(Account):
    def __init__(self, granted, parent=None):
        super().__init__(granted, parent)
        self.unwritten = 0

    def resolve(self, hold, cost):
        hold.done = True
        self.holds -= 1
        self.unwritten += cost
        self.write()
        self.held -= hold.amount
        self.available += hold.amount

    def write(self):
        self.spent += self.unwritten
        self.available -= self.unwritten
        self.unwritten = 0


class Target(Reserving):
    account = Written
