"""Holds dimension by dimension: what it took of the first is not given back when the next refuses."""

from dimensions_base import NAMES, Budget, Dimensions, Hold, whole

ANOMALY = "partial-hold"
ALSO = ("false-refusal",)
KEEPS = "overrun-bounded"


class Leaking(Budget):
    def reserve(self, amounts):
        whole(amounts)
        for budget in self.path:
            for name in NAMES:
                budget.require_room(name, amounts)
                budget.hold(name, amounts)
        return Hold(self.path, amounts)


class Target(Dimensions):
    of = Leaking
