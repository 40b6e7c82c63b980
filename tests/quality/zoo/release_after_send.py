"""Releases a hold after its request has left: it receives the notice of sending, and does not record it.

Capacity comes back while its bill is open. Sound as long as nobody gives up a call that is under way.
"""

from zoo_base import Account, Reserving

ANOMALY = "refund-after-send"
KEEPS = "delegated"


class Forgetful(Account):
    def send(self, hold):
        self.require_unused(hold)  # and `hold.sent` stays False


class Target(Reserving):
    account = Forgetful
