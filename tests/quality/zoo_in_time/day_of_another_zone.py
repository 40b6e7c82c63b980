"""Means days of the calendar in UTC, and begins them at midnight in New York."""

from datetime import datetime
from zoneinfo import ZoneInfo

from time_base import Clocked, Fixed

ANOMALY = "ledger-drift"
ALSO = ("overshoot",)
KEEPS = "stops"


class Daily(Fixed):
    window = "day"

    def counts(self, at):
        return self.day(at) == self.day(self.now)

    def day(self, at):
        return datetime.fromtimestamp(at, ZoneInfo("America/New_York")).date()


class Target(Clocked):
    budget = Daily
