"""A limit on somebody else's code, within this process: a lock that nobody gives back, a loop without end.

A busy machine must accuse nobody, so that no clock on the wall decides. What counts is the target's own work: a block
is over its limit when it has used so much *processor* time without any progress, or when it stands still: looked at
again and again, it is at the same instruction and has used no processor time since. A process that is only kept waiting
by others moves on between two looks, since a look is what it does itself. A pause looks like a lock: whoever is to be
accused of a hang is run once more, with all the patience that its adapter asks for (``Adapter.timeout``).

Works in the main thread of a system with ``SIGALRM``; elsewhere there is no limit. Nested limits, and the one of
a test runner, are put back as they were.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

SECONDS = 2.0
"""How many seconds of processor time one step may use, and stand still, where nobody says otherwise."""

_brief: list[float | None] = [None]
"""How many seconds a step may take just now; None for what its block allows."""

LOOKS = 4
"""How many looks in a row find it at the same place before it is said to stand still."""

_BETWEEN = 1 / 16
"""The time between two looks, as a part of the limit; the first look comes when the limit is over."""

_IDLE = 0.001
"""Who has used so many seconds of processor time between two looks, or more, does something."""


@contextlib.contextmanager
def patience(seconds: float | None) -> Iterator[None]:
    """Let ``limit`` wait for another time inside the block: less where hangs are hunted, and confirmed afterwards.

    With None, it waits for all that the target may take.
    """
    _brief.append(seconds)
    try:
        yield
    finally:
        _brief.pop()


def wait_longer() -> None:
    """Have full patience until the innermost ``patience`` ends: somebody has paused, and came back."""
    _brief[-1] = None


def _patience(own: float) -> float:
    """Return how many seconds a block may take just now that is allowed ``own``."""
    brief = _brief[-1]
    return own if brief is None else brief


pulse = [0]
"""How many blocks under a limit were begun, and steps in them were done: it stands still only where something hangs."""


strikes = [0]
"""How often a limit has struck: what was raised then may have been swallowed, or taken for an answer."""


class Hung(TimeoutError):
    """The code under test did not come back in time."""

    hung = True


_active = [0]
"""How many blocks under a limit are being run, one inside the other."""

_outer_handlers: list[Any] = []
"""Whose handler it was, while ours is kept installed (``held``)."""

_MAIN = threading.main_thread().ident


def _possible() -> bool:
    return hasattr(signal, "setitimer") and threading.get_ident() == _MAIN


class Looks:
    """What was seen at the last looks at code under a limit; ``over`` says whether it is over it."""

    __slots__ = ("_begin", "_last", "_place", "_pulse", "_still", "own")

    def __init__(self, own: float = SECONDS) -> None:
        self.own = own
        """How many seconds the block is allowed."""
        self._pulse = pulse[0]
        self._begin = self._last = time.process_time()
        self._place: object = None
        self._still = 0

    def over(self, place: object, seconds: float) -> bool:
        """Take one more look: ``place`` is where the code is. Return whether it loops for ever, or stands still."""
        now = time.process_time()
        still = place == self._place and now - self._last < _IDLE and self._pulse == pulse[0]
        if self._pulse != pulse[0]:
            self._begin = now
        self._still = self._still + 1 if still else 0
        self._pulse, self._last, self._place = pulse[0], now, place
        return self._still >= LOOKS or now - self._begin >= seconds


_looks: list[Looks] = []
"""Of every block under a limit that is being run, the innermost last."""


def joined(threads: Sequence[threading.Thread], seconds: float) -> bool:
    """Wait for threads to end; return whether they did. Said of those that stand still, or loop for ``seconds``."""
    end = time.monotonic() + seconds
    while (alive := [t for t in threads if t.is_alive()]) and (left := end - time.monotonic()) > 0:
        alive[0].join(left)
    looks = Looks()
    while alive := [t for t in threads if t.is_alive()]:
        alive[0].join(seconds * _BETWEEN)
        frames = sys._current_frames()
        places = [(f.f_lasti, id(f.f_code)) for t in alive if (f := frames.get(t.ident or 0)) is not None]
        if looks.over((len(alive), places), seconds):
            return not any(t.is_alive() for t in threads)
    return True


def _on_alarm(signum: int, frame: FrameType | None) -> None:
    if not _active[0]:  # a timer of somebody else, that came back when the last block had ended
        if callable(_outer_handlers[-1]):
            _outer_handlers[-1](signum, frame)
        return
    own = _looks[-1].own
    seconds = _patience(own)
    if _swallows(frame):
        _looks[-1] = Looks(own)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds * _BETWEEN)
    elif _looks[-1].over(None if frame is None else (frame.f_lasti, id(frame.f_code)), seconds):
        strikes[0] += 1
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
    """Raise ``Hung`` inside the block when it works longer than ``own`` seconds without progress, or stands still."""

    __slots__ = ("_before", "_begin", "_every", "_left", "_own", "_watches")

    def __init__(self, own: float = SECONDS) -> None:
        self._own = own

    def __enter__(self) -> None:
        """Begin to watch."""
        pulse[0] += 1
        self._watches = _possible()
        if not self._watches:
            return
        self._before = None if _outer_handlers else signal.signal(signal.SIGALRM, _on_alarm)
        _active[0] += 1
        _looks.append(Looks(self._own))
        seconds = _patience(self._own)
        self._left, self._every = signal.setitimer(signal.ITIMER_REAL, seconds, seconds * _BETWEEN)
        if self._left:
            self._begin = time.monotonic()

    def __exit__(self, *_: object) -> None:
        """Put the handler and the timer back that were there before."""
        if not self._watches:
            return
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # it may ring on the way out
            _active[0] -= 1
            _looks.pop()
            if self._before is not None:
                signal.signal(signal.SIGALRM, self._before)
            if self._left:
                left = self._left - (time.monotonic() - self._begin)
                signal.setitimer(signal.ITIMER_REAL, max(0.001, left), self._every)
