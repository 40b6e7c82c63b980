"""Releases a hold that was already settled, which gives its amount back a second time.

Typical of a `finally: release()` behind a settle, where release does not look at what became of the hold.
The capacity that comes back is beyond the cap, and is given out even when recorded spend has reached it.
"""

from zoo_base import Account, Reserving, Wrong

ANOMALY = "double-settle"
KEEPS = "none"


class Trusting(Account):
    def release(self, hold):
        if hold.sent and not hold.done:
            raise Wrong("the request has left: its cost is open")
        self.resolve(hold, 0)


class Target(Reserving):
    account = Trusting
