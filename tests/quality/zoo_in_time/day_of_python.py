"""Sound: each day of the calendar (UTC) begins with nothing spent; what day it is, it asks Python."""

from datetime import UTC, datetime

from time_base import Clocked, Fixed

from capsound.adapter import Adapter

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "day_of_another_zone"


class Daily(Fixed):
    window = "day"

    @property
    def now(self):
        return datetime.now(UTC).date()

    def counts(self, at):
        return at == self.now


class Target(Clocked):
    budget = Daily
    clock = Adapter.clock  # not offered
