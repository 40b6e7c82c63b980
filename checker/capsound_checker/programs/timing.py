"""What an adapter says of time: its window, when equal periods begin, when unused holds expire; and where time goes.

The driver's time is virtual: it begins at ``Timing.begin`` and moves by whole seconds only, which a library that counts
seconds in floats adds and subtracts exactly.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from capsound.adapter import Adapter, offers
from capsound.amounts import AccountId
from capsound.errors import nearest
from capsound.events import Event, Open, event_from_dict, event_to_dict
from capsound.monitor import Monitor
from capsound.rolled_up import CeilingMonitor
from capsound.windowed import WindowMonitor
from capsound.windows import (
    CALENDAR,
    DAY,
    HOUR,
    SECOND,
    Buckets,
    Calendar,
    Every,
    Sliding,
    Window,
    in_steps,
    in_words,
)
from capsound_checker.programs.dimensions import dimensions
from capsound_checker.programs.failing import AdapterFailed

SHORTEST = 4 * SECOND
"""How long a window is at least: there has to be a whole second before its end, and one after its begin."""

_EVENING = 1_709_156_100 * SECOND
"""21:35 on 28 February 2024 (UTC): a week, a month and a leap day are still to end."""

_LONGEST = 400 * DAY


@dataclass(frozen=True, slots=True)
class Timing:
    """What an adapter says of time."""

    window: Window
    anchored: bool = False
    expires: int = 0
    """From which age on, in nanoseconds, a hold is let go whose request has not left; 0: never."""
    words: str = ""
    """The window as it was declared."""
    zone: str = "UTC"
    steps: int = 0

    @property
    def begin(self) -> int:
        """When every run begins: within a window, neither at its begin nor at its end."""
        match self.window:
            case Every(length=length) if not self.anchored:
                return _EVENING - _EVENING % length + length // 3 // SECOND * SECOND
            case Buckets(length=length):
                return _EVENING - _EVENING % length + length // 3 // SECOND * SECOND
            case _:
                return _EVENING

    def anchored_at(self, moment: int) -> Window:
        """Return the window with its periods beginning at a moment."""
        assert isinstance(self.window, Every)
        return Every(self.window.length, moment)

    def monitor(self) -> WindowMonitor:
        """Return the monitor of a run that begins."""
        return WindowMonitor(window=self.window, anchored=self.anchored, at=self.begin)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        data: dict[str, Any] = {"window": self.words, "timezone": self.zone, "buckets": self.steps}
        return {**data, "anchored": self.anchored, "expires": self.expires // SECOND}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Timing:
        """Return what ``to_dict`` has written; raises ``AdapterFailed`` where that is no window."""
        return declared("the adapter", *(data[name] for name in _DECLARED))


_DECLARED = ("window", "timezone", "buckets", "anchored", "expires")


def timing(adapter: Adapter | type[Adapter]) -> Timing | None:
    """Return what an adapter says of time; None where it says nothing. Raises ``AdapterFailed`` for no such window."""
    cls = adapter if isinstance(adapter, type) else type(adapter)
    known: object = _TIMINGS.get(cls, _UNKNOWN)
    if known is _UNKNOWN:
        said = [getattr(cls, name) for name in _DECLARED]
        mine = offers(cls)
        timed = bool(said[0] or said[4] or "clock" in mine or "reset" in mine)
        found = declared(cls.__name__, *said) if timed else None
        several = "ceiling" if "ceiling" in mine else "dimensions" if dimensions(cls) else ""
        if several and mine & {"delegate", "merge"}:
            raise AdapterFailed(
                f"{cls.__name__} offers {several} and delegate",
                cause="ceilings are limits, and slices move money: both at once are not judged",
                hint="write an adapter for each",
            )
        if found is not None and found.anchored and several:
            raise _refused(cls.__name__, "anchored", True, "with ceilings there are several begins", "leave it out")
        if found is not None and "reset" in mine and not isinstance(found.window, Every | Calendar):
            raise AdapterFailed(
                f"{cls.__name__} offers reset, and its window is {found.words!r}",
                cause="only a day, a week, a month or an equal period has an end at which it could be asked",
                hint='declare window = "day" or "every 6 h", or leave reset out',
            )
        known = _TIMINGS[cls] = found
    return cast("Timing | None", known)


_UNKNOWN = object()
_TIMINGS: weakref.WeakKeyDictionary[type[Adapter], Timing | None] = weakref.WeakKeyDictionary()


def declared(name: str, words: Any, zone: Any, steps: Any, anchored: Any, expires: Any) -> Timing:
    """Return what was declared; raises ``AdapterFailed`` where it cannot be used."""
    from zoneinfo import ZoneInfo

    try:
        window = in_words(words, str(ZoneInfo(zone).key)) if isinstance(words, str) else None
    except ValueError as error:
        raise _refused(name, "window", words, str(error), "such as every 6 h") from None
    except (LookupError, OSError, TypeError):
        raise _refused(name, "timezone", zone, "it is no time zone", "such as Europe/Berlin or UTC") from None
    if window is None:
        cure = nearest(str(words), CALENDAR)
        cure = "day, week, month, 'every 6 h' or 'sliding 24 h'" if cure.startswith("known") else cure
        raise _refused(name, "window", words, "it is no window", cure)
    if steps:
        stepping = in_steps(window, steps)
        if stepping is None:
            raise _refused(name, "buckets", steps, "they divide no sliding window", "such as 24 for 'sliding 24 h'")
        window = stepping
    if isinstance(window, Every | Sliding | Buckets) and window.length < SHORTEST:
        raise _refused(name, "window", words, "time passes by whole seconds here", "let the adapter scale its clock")
    if type(anchored) is not bool or (anchored and not isinstance(window, Every)):
        raise _refused(name, "anchored", anchored, "only equal periods begin somewhere", "declare window = 'every 6 h'")
    if type(expires) is not int or not 0 <= expires < _LONGEST // SECOND:
        raise _refused(name, "expires", expires, "it is an age in whole seconds", "such as 30")
    return Timing(window, anchored, expires * SECOND, words, zone, steps or 0)


def _refused(name: str, what: str, value: Any, cause: str, hint: str) -> AdapterFailed:
    return AdapterFailed(f"{name}.{what} is {value!r}", cause=cause, hint=hint)


# -------------------------------------------------------------------------------------------- where time goes


def ends(window: Window, now: int) -> Iterator[int]:
    """Yield the next ends of windows that have a fixed place, in whole seconds; none where it slides."""
    if not isinstance(window, Every | Calendar | Buckets):
        return
    at = now
    for _ in range(_ENDS):
        at = _end(window, at)
        yield at


_ENDS = 3
"""How many ends of windows ahead are of interest."""


def _end(window: Every | Calendar | Buckets, now: int) -> int:
    """Return the first whole second after ``now`` that is in another window or bucket."""
    place = window.place(now)
    low, high = now // SECOND, now // SECOND + 1
    while window.place(high * SECOND) == place:
        low, high = high, high + 2 * (high - now // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if window.place(middle * SECOND) == place else (low, middle)
    return high * SECOND


def steps_of_time(timing: Timing, window: Window, now: int, moments: Iterable[int]) -> list[int]:
    """Return by how many seconds time may pass: around each end of a window, and within it.

    ``moments`` are those of what was held, billed and settled, from which a window slides and a hold ages.
    """
    stops = list(ends(window, now))
    known = sorted(set(moments))
    match window:
        case Sliding(length=length):
            stops += [at + length for at in known]
        case Buckets(length=length, number=number):
            stops += [_bucket(window, at) + number * length for at in known]
        case _:
            pass
    stops += [at + timing.expires for at in known if timing.expires]
    near = [(stop + shift - now) // SECOND for stop in sorted(set(stops)) for shift in (0, -SECOND, SECOND)]
    length = _length(window)
    far = [length // 2, length, 2 * length, 5 * length // 2] if length else [60 * SECOND, HOUR, DAY, 31 * DAY]
    return [seconds for seconds in (*near, *(at // SECOND for at in far), 1) if seconds > 0]


def _bucket(window: Buckets, at: int) -> int:
    return window.start + window.place(at) * window.length


def _length(window: Window) -> int:
    """Return about how long a window is; 0 where it has no end."""
    match window:
        case Every(length=length) | Sliding(length=length):
            return length
        case Buckets(length=length, number=number):
            return length * number
        case Calendar(unit=unit):
            return {"day": DAY, "week": 7 * DAY, "month": 31 * DAY}[unit]
        case _:
            return 0


# ------------------------------------------------------------------------------------------------- as data


def monitor_of(timing: Timing | None) -> Callable[[], Monitor | WindowMonitor]:
    """Return what makes the monitor of one budget: that of windows where it is one in time."""
    return Monitor if timing is None else timing.monitor


def told_data(
    events: Sequence[Event],
    moments: Sequence[int],
    timing: Timing | None,
    under: Mapping[AccountId, AccountId],
    sizes: Mapping[int, Mapping[str, int]] = MappingProxyType({}),
) -> list[dict[str, object]]:
    """Return events as JSON data, with what stands beside them.

    That is the moment of each (``at``), what the adapter says of time beside the first (``timing``), the account
    above (``under``) where a ceiling is opened, and how large an amount is in further dimensions (``sizes``).
    """
    out = [event_to_dict(event) for event in events]
    for number, told in sizes.items():
        out[number]["sizes"] = dict(told)
    for event, data in zip(events, out, strict=True):
        if isinstance(event, Open) and event.root in under:
            data["under"] = under[event.root]
    if timing is not None and out:
        for data, at in zip(out, moments, strict=True):
            data["at"] = at
        out[0]["timing"] = timing.to_dict()
    return out


BESIDE = ("at", "timing", "under", "sizes")
"""What may stand beside an event."""


def timing_in(data: Sequence[Mapping[str, Any]]) -> Timing | None:
    """Return what stands beside the first event of a run; None where it has no time."""
    return Timing.from_dict(data[0]["timing"]) if data and "timing" in data[0] else None


def monitor_for(data: Sequence[Mapping[str, Any]]) -> Monitor | WindowMonitor | CeilingMonitor:
    """Return the monitor that a run needs which was sent as data."""
    make = monitor_of(timing_in(data))
    return CeilingMonitor(make) if any("under" in one or "sizes" in one for one in data) else make()


def event_in(data: Mapping[str, Any], monitor: Monitor | WindowMonitor | CeilingMonitor | None = None) -> Event:
    """Return an event without what stands beside it; that is told to the monitor."""
    if isinstance(monitor, WindowMonitor | CeilingMonitor) and "at" in data:
        monitor.passes(data["at"])
    event = event_from_dict({key: value for key, value in data.items() if key not in BESIDE})
    if isinstance(monitor, CeilingMonitor) and "under" in data and isinstance(event, Open):
        monitor.under(event.root, AccountId(data["under"]))
    if isinstance(monitor, CeilingMonitor):
        monitor.sized(data.get("sizes", {}))
    return event
