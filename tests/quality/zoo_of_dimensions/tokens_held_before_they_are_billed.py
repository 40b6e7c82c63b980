"""Sound: tokens are held like money, from the admission on."""

from dimensions_base import NAMES, Budget, Dimensions

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "tokens_counted_when_told"


class Early(Budget):
    def hold(self, name, amounts):
        assert name in NAMES
        self.held[name] += amounts[name]


class Target(Dimensions):
    of = Early
