"""Sound: it holds dimension by dimension, and gives back what it took when a later one refuses."""

from dimensions_base import NAMES, Budget, Dimensions, Hold, Over, whole

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "holds_one_dimension_and_leaks"


class Careful(Budget):
    def reserve(self, amounts):
        whole(amounts)
        taken = []
        try:
            for budget in self.path:
                for name in NAMES:
                    budget.require_room(name, amounts)
                    budget.hold(name, amounts)
                    taken.append((budget, name))
        except Over:
            for budget, name in taken:
                budget.held[name] -= amounts[name]
            raise
        return Hold(self.path, amounts)


class Target(Dimensions):
    of = Careful
