"""Sound: what a call asks for is counted in the dimension in which it asks."""

from dimensions_base import NAMES, Dimensions

from capsound.sizes import size_in

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "counts_requests_for_money"


class Target(Dimensions):
    def reserve(self, scope, amount):
        return scope.reserve({name: size_in(amount, name) for name in NAMES})
