"""Sound: it holds as it goes, and gives back what it took when a later ceiling refuses."""

from ceilings_base import Ceiling, Ceilings, Hold, Over, whole

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "held_one_by_one"


class Careful(Ceiling):
    def reserve(self, amount):
        whole(amount)
        taken = []
        try:
            for ceiling in self.path:
                ceiling.require_room(amount)
                ceiling.held += amount
                taken.append(ceiling)
        except Over:
            for ceiling in taken:
                ceiling.held -= amount
            raise
        return Hold(self.path, amount)


class Target(Ceilings):
    of = Careful
