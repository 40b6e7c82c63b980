"""Sound: when a call is settled, its tokens are counted with its cost."""

from dimensions_base import Dimensions

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "forgets_the_tokens"


class Target(Dimensions):
    def settle(self, hold, actual):
        hold.budgets[0].resolve(hold, self.amounts(actual))
