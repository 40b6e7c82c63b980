"""Logs a warning where it should refuse: the limit is soft, and every call is admitted.

The default of several libraries ("warn, do not block"). Its books are exact, and they are all that it keeps.
"""

from zoo_base import Account, Reserving

ANOMALY = "over-admit"
KEEPS = "none"
ALSO = ("no-stop",)


class Soft(Account):
    warnings = 0

    def require_room(self, amount):
        if amount > self.available:
            self.warnings = 1


class Target(Reserving):
    account = Soft
