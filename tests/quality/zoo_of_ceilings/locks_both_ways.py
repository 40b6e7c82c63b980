"""Admission locks the ceilings upwards, settlement downwards: a call that begins and one that ends wait for each other."""

from locks_in_order import Target as InOrder

ANOMALY = "hang"
KEEPS = "delegated"


class Target(InOrder):
    def to_settle(self, path):
        return path[::-1]
