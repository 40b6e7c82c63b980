"""A time limit on somebody else's code, within this process: a lock that nobody gives back, a loop without end.

Works in the main thread of a system with ``SIGALRM``; elsewhere there is no limit. Nested limits, and the one of
a test runner, are put back as they were.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

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
"""How many blocks under a limit were begun: it stands still only where something hangs."""


class Hung(TimeoutError):
    """The code under test did not come back in time."""

    hung = True


def _ring(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise Hung("it did not come back in time")


@contextlib.contextmanager
def limit() -> Iterator[None]:
    """Raise ``Hung`` inside the block when it takes too long."""
    seconds = _seconds[-1]
    pulse[0] += 1
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGALRM)
    begin = time.monotonic()
    signal.signal(signal.SIGALRM, _ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - begin)), every)
