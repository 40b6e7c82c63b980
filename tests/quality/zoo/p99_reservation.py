"""Reserves what most calls stay below instead of the most that this one may cost: here half of the estimate.

Known as the reservation at the 99th percentile for hidden reasoning tokens. A call that bills what it announced is
above the cap on its own; it is charged in full, so that the next one is refused.
"""

from zoo_base import Account, Reserving, whole

ANOMALY = "over-admit"
KEEPS = "stops"


class Typical(Account):
    def reserve(self, amount):
        return super().reserve((whole(amount) + 1) // 2)


class Target(Reserving):
    account = Typical
