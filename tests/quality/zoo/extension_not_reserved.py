"""Compares each further chunk of a stream with what is available, and sets nothing aside for it.

Ten chunks pass one after the other where there is room for one. What is billed is charged in full, so that it stops
in the end.
"""

from zoo_base import Account, Streaming, whole

ANOMALY = "stale-admit"
KEEPS = "stops"


class Glancing(Account):
    def extend(self, hold, amount):
        self.require_unused(hold)
        self.require_room(whole(amount))  # and nothing moves


class Target(Streaming):
    account = Glancing
