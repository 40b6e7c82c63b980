"""Asks one ceiling after the other and holds as it goes: what it took is not given back when a later one refuses."""

from ceilings_base import Ceiling, Ceilings, Hold, whole

ANOMALY = "partial-hold"
ALSO = ("false-refusal",)
KEEPS = "overrun-bounded"


class Leaking(Ceiling):
    def reserve(self, amount):
        whole(amount)
        for ceiling in self.path:
            ceiling.require_room(amount)
            ceiling.held += amount
        return Hold(self.path, amount)


class Target(Ceilings):
    of = Leaking
