"""A clock that can be moved: what the target asks for the time is told a later one, and nobody else is.

``install`` replaces the clocks of ``time`` and ``datetime`` in this process, before the target is loaded, so that it
also sees through ``from time import monotonic``. Our own modules get the true time: no limit of ours is moved. What
asks the operating system itself, a database or another process, is not moved either.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import inspect
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

Loaded = TypeVar("Loaded")

STEPS = (1, 60, 5, 3_600, 86_400, 31 * 86_400, 2, 366 * 86_400)
"""How many seconds may pass at once: enough for a second, a minute, an hour, a day, a month and a year to be over."""

_OURS = ("capsound", "capsound_checker")
_ahead = [0]
_still: list[int | None] = [None]
"""The second since 1970 at which time stands still until it is moved; None: it goes on."""

_UPTIME = 10_000
"""What the clocks that begin anywhere say while time stands still."""
_installed = [False]


def installed() -> bool:
    """Whether the clock of this process can be moved."""
    return _installed[0]


def move(seconds: int) -> None:
    """Let so many seconds pass for the target."""
    _ahead[0] += seconds


def stand_still(at: int) -> None:
    """Let time stand still for the target at a second since 1970, and move only where it is moved from there."""
    _still[0], _ahead[0] = at, 0


def reset() -> None:
    """Tell the true time again: every run begins then."""
    _ahead[0] = 0


def true_where_needed(load: Callable[[], Loaded]) -> Loaded:
    """Load something; import with the true ``date`` and ``datetime`` first what cannot be derived from the moved ones.

    A class with a metaclass of its own, as in ``pydantic.v1.types``, cannot: the moved ones have theirs.
    Raises whatever ``load`` raises, also where such a statement stands in a file that is no module to be imported.
    """
    imported: set[str] = set()
    while True:
        try:
            return load()
        except Exception as error:
            name = _conflicting(error)
            if not name or name in imported:
                raise
            imported.add(name)
        with _true_dates(), contextlib.suppress(Exception):  # what is no module fails once more, as it did
            importlib.import_module(name)


def _conflicting(error: BaseException | None) -> str:
    """Return the module in which a class statement met two metaclasses; empty where that is not what went wrong."""
    while error is not None and not (isinstance(error, TypeError) and "metaclass conflict" in str(error)):
        error = error.__cause__
    if error is None or not _installed[0]:
        return ""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", ""))


@contextlib.contextmanager
def _true_dates() -> Iterator[None]:
    days, moments = dt.date, dt.datetime
    _tell(days.__mro__[1], moments.__mro__[1])
    try:
        yield
    finally:
        _tell(days, moments)


def _tell(days: type, moments: type) -> None:
    """Let these be ``datetime.date`` and ``datetime.datetime``."""
    setattr(dt, "date", days)  # noqa: B010 - a class of the standard library is replaced on purpose
    setattr(dt, "datetime", moments)  # noqa: B010


def _is_ours() -> bool:
    """Whether a module of ours has asked for the time: two frames up."""
    told = inspect.currentframe()
    asks = told.f_back.f_back if told is not None and told.f_back is not None else None
    name: str = "" if asks is None else asks.f_globals.get("__name__", "")
    return name.partition(".")[0] in _OURS


def _moved(true: Callable[[], Any], unit: int, *, wall: bool) -> Callable[[], Any]:
    kind = type(true())

    def told() -> Any:
        if _is_ours():
            return true()
        at = _still[0]
        if at is not None:
            return kind(((at if wall else _UPTIME) + _ahead[0]) * unit)
        return true() + _ahead[0] * unit

    return told


def _of_now(true: Callable[..., Any], now: Callable[[], float]) -> Callable[..., Any]:
    """Return a function that takes the moment it is given, or else that of the moved clock."""

    def told(seconds: float | None = None) -> Any:
        return true(_now(now) + _ahead[0] if seconds is None else seconds)

    return told


def _now(true: Callable[[], float]) -> float:
    at = _still[0]
    return true() if at is None else at


def install() -> None:
    """Replace the clocks of this process; a second time nothing happens."""
    if _installed[0]:
        return
    _installed[0] = True
    now = time.time
    for name, unit in (("time", 1), ("monotonic", 1), ("perf_counter", 1)):
        for suffix, factor in (("", unit), ("_ns", unit * 10**9)):
            setattr(time, name + suffix, _moved(getattr(time, name + suffix), factor, wall=name == "time"))
    for name in ("localtime", "gmtime"):
        setattr(time, name, _of_now(getattr(time, name), now))
    _install_dates()


def _install_dates() -> None:
    """Let ``date`` and ``datetime`` be subclasses that tell the moved time, and take the true ones for their own."""
    day, moment = dt.date, dt.datetime

    class Days(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, day)

    class Moments(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, moment)

    def ahead() -> dt.timedelta:
        return dt.timedelta(seconds=_ahead[0])

    def present(tz: Any = None) -> Any:
        at = _still[0]
        if at is None:
            return moment.now(tz) + ahead()
        return moment.fromtimestamp(at + _ahead[0], tz)

    def today(cls: Any) -> Any:
        then = present()
        return cls(then.year, then.month, then.day)

    def now(cls: Any, tz: Any = None) -> Any:
        then = present(tz)
        return cls(*then.timetuple()[:6], then.microsecond, tzinfo=then.tzinfo, fold=then.fold)

    def utcnow(cls: Any) -> Any:
        then = present(dt.UTC)
        return cls(*then.timetuple()[:6], then.microsecond)

    days = Days("date", (day,), {"today": classmethod(today), "__module__": "datetime"})
    told = {"now": classmethod(now), "utcnow": classmethod(utcnow), "today": classmethod(now)}
    moments = Moments("datetime", (moment,), {**told, "__module__": "datetime"})
    _tell(days, moments)
