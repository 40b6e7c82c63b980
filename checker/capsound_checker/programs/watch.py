"""A time limit on somebody else's code, within this process: a lock that nobody gives back, a loop without end.

Works in the main thread of a system with ``SIGALRM``; elsewhere there is no limit. What counts is the time of the code
itself, and not what it waits for a turn on a busy machine (``owntime``). Nested limits, and the one of
a test runner, are put back as they were.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

from capsound_checker.programs.owntime import Allowance

SECONDS = 2.0
"""How long one step may take; it takes microseconds where nothing hangs."""

_seconds = [SECONDS]


@contextlib.contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Let ``limit`` wait for another time inside the block: less where hangs are hunted, and confirmed afterwards."""
    _seconds.append(seconds)
    try:
        yield
    finally:
        _seconds.pop()


pulse = [0]
"""How many blocks under a limit were begun, or given more time: it stands still only where something hangs."""


class Hung(TimeoutError):
    """The code under test did not come back in time."""

    hung = True


_active = [0]
"""How many blocks under a limit are being run, one inside the other."""

_allowances: list[Allowance] = []
"""What is left to each of them."""

_NOTHING = 0.002
"""An alarm may ring a little early, in seconds."""

_outer_handlers: list[Any] = []
"""Whose handler it was, while ours is kept installed (``held``)."""

_MAIN = threading.main_thread().ident


def _possible() -> bool:
    return hasattr(signal, "setitimer") and threading.get_ident() == _MAIN


def _on_alarm(signum: int, frame: FrameType | None) -> None:
    if not _active[0]:  # a timer of somebody else, that came back when the last block had ended
        if callable(_outer_handlers[-1]):
            _outer_handlers[-1](signum, frame)
        return
    if _swallows(frame):
        signal.setitimer(signal.ITIMER_REAL, _seconds[-1])
        return
    left = _allowances[-1].left() if _allowances else 0.0
    if left > _NOTHING:  # it had no turn on a busy machine: that is not its fault
        pulse[0] += 1
        signal.setitimer(signal.ITIMER_REAL, left)
        return
    raise Hung("it did not come back in time")


def _swallows(frame: FrameType | None) -> bool:
    """Whether an exception raised here would be lost: in a finalizer, or a callback of collector or weak reference.

    A collection that lasts is over when the first Python code runs again, and that is such a callback: the block under
    the limit has done nothing wrong, and gets its time once more.
    """
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        code = frame.f_code
        if code in callbacks or code.co_name == "__del__" or code.co_filename in _WEAK:
            return True
        frame = frame.f_back
    return False


_WEAK = frozenset({inspect.getfile(weakref.WeakSet), inspect.getfile(weakref.WeakValueDictionary)})
"""Where the standard library drops what only weak references held; asyncio keeps its tasks so."""


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep our handler installed: a block inside then costs two system calls instead of four."""
    if not _possible() or _outer_handlers:
        yield
        return
    _outer_handlers.append(signal.signal(signal.SIGALRM, _on_alarm))
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, _outer_handlers.pop())


class limit:  # noqa: N801 - used as a block: `with limit():`
    """Raise ``Hung`` inside the block when it takes too long."""

    __slots__ = ("_before", "_begin", "_every", "_left", "_watches")

    def __enter__(self) -> None:
        """Begin to watch."""
        pulse[0] += 1
        self._watches = _possible()
        if not self._watches:
            return
        self._before = None if _outer_handlers else signal.signal(signal.SIGALRM, _on_alarm)
        _active[0] += 1
        _allowances.append(Allowance(_seconds[-1]))
        self._begin = time.monotonic()
        self._left, self._every = signal.setitimer(signal.ITIMER_REAL, _seconds[-1])

    def __exit__(self, *_: object) -> None:
        """Put the handler and the timer back that were there before."""
        if not self._watches:
            return
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # it may ring on the way out
            _active[0] -= 1
            _allowances.pop()
            if self._before is not None:
                signal.signal(signal.SIGALRM, self._before)
            if self._left:
                left = self._left - (time.monotonic() - self._begin)
                signal.setitimer(signal.ITIMER_REAL, max(0.001, left), self._every)
