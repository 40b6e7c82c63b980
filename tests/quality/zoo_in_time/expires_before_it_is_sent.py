"""Sound: a hold lives for 30 seconds, and for as long as it takes once its request has left."""

from time_base import Clocked, Fixed

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "expires_under_way"


class Careful(Fixed):
    window = ""

    def counts(self, at):
        return True

    @property
    def held(self):
        self.forget()
        return super().held

    def forget(self):
        self.holds = [hold for hold in self.holds if hold.sent is not None or self.now - hold.made < 30]

    def send(self, hold):
        self.forget()
        super().send(hold)

    def resolve(self, hold, cost):
        self.forget()
        super().resolve(hold, cost)


class Target(Clocked):
    budget = Careful
    expires = 30
