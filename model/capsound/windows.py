"""Windows of time over which a cap holds: $50 a day, a million tokens in any 24 hours.

Times are whole nanoseconds since 1970, amounts whole numbers. A bill belongs to the moment at which the provider billed
it, wherever the call was held or sent. Each window is defined by one question, ``counts``: does a bill of one moment
count at another? What is spent at a moment is the sum of the bills that count then (``spent``), and a cap holds where
that never exceeds it. ``Meter`` finds the moments of interest without asking about each pair of bills.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

CALENDAR = ("day", "week", "month")
"""The units of a calendar."""

_LENGTHS = {"s": SECOND, "min": MINUTE, "h": HOUR, "d": DAY}
_LENGTH = re.compile(r"(every|sliding)\s+(\d{1,9})\s*(s|min|h|d)")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Whole:
    """No window: all that was ever billed counts."""

    def place(self, _at: int) -> int:
        """Return the number of the window of a moment: there is one."""
        return 0

    def counts(self, at: int, now: int) -> bool:
        """Whether a bill of the moment ``at`` counts at ``now``."""
        return at <= now

    def named(self, _place: int) -> str:
        """Return what a window is called."""
        return "in all"


@dataclass(frozen=True, slots=True)
class Every:
    """Windows of equal length, one after the other: what was spent is forgotten at ``start + n * length``."""

    length: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.length <= 0:
            raise ValueError("a window has a length")

    def place(self, at: int) -> int:
        """Return the number of the window of a moment."""
        return (at - self.start) // self.length

    def counts(self, at: int, now: int) -> bool:
        """Whether a bill of the moment ``at`` counts at ``now``."""
        return at <= now and self.place(at) == self.place(now)

    def named(self, place: int) -> str:
        """Return what a window is called: the moment at which it begins."""
        return f"from {written(self.start + place * self.length)}"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days, weeks (from Monday) or months of a time zone. A day is as long as its place says: 23 to 25 hours."""

    unit: str
    """``day``, ``week`` or ``month``."""
    zone: str = "UTC"
    """A name of the IANA time zone database."""

    def __post_init__(self) -> None:
        if self.unit not in CALENDAR:
            raise ValueError(f"{self.unit} is no unit of a calendar")

    def place(self, at: int) -> int:
        """Return the number of the window of a moment. Raises ``OverflowError`` beyond the years 1 to 9999."""
        local = (_EPOCH + timedelta(microseconds=at // 1000)).astimezone(_zone(self.zone))
        if self.unit == "month":
            return local.year * 12 + local.month - 1
        day = local.toordinal()
        return day if self.unit == "day" else (day - 1) // 7  # the first day of year 1 was a Monday

    def counts(self, at: int, now: int) -> bool:
        """Whether a bill of the moment ``at`` counts at ``now``."""
        return at <= now and self.place(at) == self.place(now)

    def named(self, place: int) -> str:
        """Return what a window is called: its date, the Monday of its week, its month."""
        zone = "" if self.zone == "UTC" else f" in {self.zone}"
        if self.unit == "month":
            return f"{place // 12:04}-{place % 12 + 1:02}{zone}"
        day = datetime.fromordinal(place if self.unit == "day" else place * 7 + 1)
        return f"{'' if self.unit == 'day' else 'the week of '}{day:%Y-%m-%d}{zone}"


@dataclass(frozen=True, slots=True)
class Buckets:
    """A window that moves in steps: the bucket of the moment, and the ``number - 1`` before it.

    It spans less than ``number`` buckets of time, so that a cap over it is weaker than one over any such span.
    """

    length: int
    """Of one bucket."""
    number: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.length <= 0 or self.number <= 0:
            raise ValueError("a window has a length")

    def place(self, at: int) -> int:
        """Return the number of the bucket of a moment."""
        return (at - self.start) // self.length

    def counts(self, at: int, now: int) -> bool:
        """Whether a bill of the moment ``at`` counts at ``now``."""
        return at <= now and self.place(now) - self.place(at) < self.number

    def named(self, place: int) -> str:
        """Return what a window is called: the moment at which its last bucket ends."""
        return f"up to {written(self.start + (place + 1) * self.length)}"


@dataclass(frozen=True, slots=True)
class Sliding:
    """Any span of this length: a bill counts until exactly so much time has passed."""

    length: int

    def __post_init__(self) -> None:
        if self.length <= 0:
            raise ValueError("a window has a length")

    def place(self, at: int) -> int:
        """Return the moment itself: each has a window of its own."""
        return at

    def counts(self, at: int, now: int) -> bool:
        """Whether a bill of the moment ``at`` counts at ``now``."""
        return now - self.length < at <= now

    def named(self, place: int) -> str:
        """Return what a window is called: the moment at which it ends."""
        return f"up to {written(place)}"


@cache
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # nearly every run does without

    return ZoneInfo(name)


Window = Whole | Every | Calendar | Buckets | Sliding


def in_words(text: str, zone: str = "UTC") -> Window | None:
    """Return the window of a word: ``day``, ``week``, ``month``, ``every 6 h``, ``sliding 24 h``, nothing for all time.

    None where it is no such word; ``zone`` is that of days, weeks and months. Raises ``ValueError`` for a length of 0.
    """
    if text == "":
        return Whole()
    if text in CALENDAR:
        return Calendar(text, zone)
    found = _LENGTH.fullmatch(text)
    if found is None:
        return None
    length = int(found[2]) * _LENGTHS[found[3]]
    return Every(length) if found[1] == "every" else Sliding(length)


def in_steps(window: Window, number: object) -> Buckets | None:
    """Return a sliding window that moves in so many steps; None where it does not slide, or they do not divide it."""
    if not isinstance(window, Sliding) or type(number) is not int or number <= 0 or window.length % number:
        return None
    return Buckets(window.length // number, number)


def spent(window: Window, bills: Iterable[tuple[int, int]], now: int) -> int:
    """Return what is spent at a moment, of bills with their moments: the definition."""
    return sum(amount for at, amount in bills if window.counts(at, now))


@dataclass(frozen=True, slots=True)
class Over:
    """How often a cap was exceeded, and the windows that say most: by their places, with what was spent in them."""

    times: int
    """How many windows; of windows that slide, how often it began."""
    first: tuple[int, int]
    largest: tuple[int, int]


@dataclass(slots=True)
class Meter:
    """What is spent in the windows of one kind. Bills may come in any order.

    It keeps a number for each window or bucket in which something was billed, and for each moment where it slides.
    """

    window: Window
    sums: dict[int, int] = field(default_factory=dict)

    def add(self, at: int, amount: int) -> None:
        """Count a bill. Raises ``OverflowError`` for a moment that a calendar does not have."""
        self.put(self.window.place(at), amount)

    def put(self, place: int, amount: int) -> None:
        """Count an amount in the window or bucket of that number."""
        self.sums[place] = self.sums.get(place, 0) + amount

    def totals(self) -> Iterator[tuple[int, int, int]]:
        """Yield in order each place where something was billed: what counted just before it, and what counts then."""
        reach = _reach(self.window)
        inside: deque[int] = deque()
        total = 0
        for place in sorted(self.sums):
            while inside and place - inside[0] >= reach:
                total -= self.sums[inside.popleft()]
            before = total
            inside.append(place)
            total += self.sums[place]
            yield place, before, total

    def most(self) -> tuple[int, int]:
        """Return the place where most was spent, the first of several, and how much: ``(0, 0)`` where nothing was."""
        best = (0, 0)
        for place, _, total in self.totals():
            if total > best[1]:
                best = (place, total)
        return best

    def over(self, cap: int) -> Over | None:
        """Return where the cap was exceeded; None where it held."""
        times = 0
        first: tuple[int, int] | None = None
        largest = (0, 0)
        slides = isinstance(self.window, Sliding)
        for place, before, total in self.totals():
            if total <= cap:
                continue
            times += not (slides and before > cap)
            first = first or (place, total)
            if total > largest[1]:
                largest = (place, total)
        return None if first is None else Over(times, first, largest)


def _reach(window: Window) -> int:
    """Return how many places on a bill still counts."""
    match window:
        case Sliding():
            return window.length
        case Buckets():
            return window.number
        case _:
            return 1


def written(at: int) -> str:
    """Return a moment as a date in UTC, or in seconds where it is none of a calendar."""
    try:
        return utc(at)
    except OverflowError:
        return f"{at / SECOND:g} s"


def utc(at: int) -> str:
    """Return a moment as a date in UTC, to the microsecond. Raises ``OverflowError`` where it is none of a calendar."""
    when = _EPOCH + timedelta(microseconds=at // 1000)
    return f"{when:%Y-%m-%dT%H:%M:%S}{f'.{when.microsecond:06d}'.rstrip('0') if when.microsecond else ''}Z"
