"""A time limit on somebody else's code, within this process: a lock that nobody gives back, a loop without end.

Works in the main thread of a system with ``SIGALRM``; elsewhere there is no limit. Nested limits, and the one of
a test runner, are put back as they were.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

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


def _ring(_signum: int, frame: FrameType | None) -> None:
    if _swallows(frame):
        signal.setitimer(signal.ITIMER_REAL, _seconds[-1])
        return
    raise Hung("it did not come back in time")


def _swallows(frame: FrameType | None) -> bool:
    """Whether an exception raised here would be lost: in a callback of the garbage collector, or a finalizer.

    A collection that lasts is over when the first Python code runs again, and that is its callback: the block
    under the limit has done nothing wrong, and gets its time once more.
    """
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        if frame.f_code in callbacks or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


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
