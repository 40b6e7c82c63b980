"""Only the call's own ceiling is asked; those above are told what was spent, and refuse nothing."""

from ceilings_base import Ceiling, Ceilings, Hold, whole

ANOMALY = "over-admit"
ALSO = ("overshoot", "no-stop")
KEEPS = "none"


class Blind(Ceiling):
    def reserve(self, amount):
        self.require_room(whole(amount))
        for ceiling in self.path:
            ceiling.held += amount
        return Hold(self.path, amount)


class Target(Ceilings):
    of = Blind
