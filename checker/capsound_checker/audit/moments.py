"""When something happened, as a report tells it: numbers of any usual unit, and dates."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from capsound.windows import HOUR, utc
from capsound_checker.audit.times import UNITS, Moment

_SCALES = ((10**17, UNITS["ns"]), (10**14, UNITS["us"]), (10**11, UNITS["ms"]))
"""From which size on a number counts something finer than seconds: each is a date of 1973 in its unit."""

DATES = 10**8 * UNITS["s"]
"""From here on a time is a date; below, the clock of the log began when the log did."""


@dataclass(frozen=True, slots=True)
class When:
    """A place in a log: a line, and the time that it tells, in nanoseconds; None where it tells none."""

    line: int
    at: int | None

    @property
    def text(self) -> str:
        """The place in words."""
        return f"line {self.line:,}" if self.at is None else f"line {self.line:,}, {date(self.at)}"


def nanoseconds(at: Moment) -> int:
    """Return a time in nanoseconds. A number counts seconds, or what its size says: ms, us or ns since 1970."""
    scale = next((scale for least, scale in _SCALES if not -least < at < least), UNITS["s"])
    return int(at * scale) if isinstance(at, Decimal) else at * scale


def date(at: int) -> str:
    """Return a time as people write it: a date in UTC, or seconds where the clock of a log began with it."""
    if at < DATES:
        seconds = Decimal(at).scaleb(-9)
        return f"{seconds.normalize():f} s"
    try:
        return utc(at)
    except OverflowError:
        return f"{at} ns"


def hour_named(hour: int) -> str:
    """Return the name of an hour, counted from 1970, or from where the clock of the log began."""
    at = hour * HOUR
    return f"hour {hour:,}" if at < DATES else f"{date(at)[:13]}Z"
