"""Counts tokens and requests, and refuses nothing for them: only the cap on money is a cap."""

from dimensions_base import NAMES, Budget, Dimensions, Hold, whole

ANOMALY = "over-admit"
ALSO = ("overshoot", "no-stop")
KEEPS = "none"


class Counting(Budget):
    def reserve(self, amounts):
        whole(amounts)
        for budget in self.path:
            budget.require_room("money", amounts)
        for budget in self.path:
            for name in NAMES:
                budget.hold(name, amounts)
        return Hold(self.path, amounts)


class Target(Dimensions):
    of = Counting
