"""Time that is the target's own: what it waits for a turn on a busy machine is not counted.

Linux says of each thread how long it was ready to run without running. That is taken from the time that has passed, for
the main thread of this process and for that of a child that is asked something. Elsewhere all time counts.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_FRESH = 0.05
"""How old, in seconds, the beginning of a measurement may be: to read it costs more than a step of a target."""

_children: dict[int, float] = {}
"""The children that are asked something, by process id, with what was read of each last."""

_gone = [0.0]
"""What children that have ended had waited."""

_last = [-1.0, 0.0]
"""When the waits were read last, and what they were then."""


def waits() -> float:
    """Return how many seconds this process, and the children that it asks something, were ready without running."""
    return _read(os.getpid()) + sum(map(_waited, _children)) + _gone[0]


def _waited(pid: int) -> float:
    """Return what a child has waited; what was read last once it has ended."""
    _children[pid] = max(_children[pid], _read(pid))
    return _children[pid]


def _read(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
    return 0.0


class Allowance:
    """So many seconds of own time from now on: of this process and whom it asks, or of the process ``of`` alone."""

    __slots__ = ("_begin", "_of", "_seconds", "_waited")

    def __init__(self, seconds: float, of: int | None = None) -> None:
        self._begin, self._seconds, self._of = time.monotonic(), seconds, of
        if of is not None:
            self._waited = _read(of)
            return
        if self._begin - _last[0] > _FRESH:
            _last[:] = self._begin, waits()
        self._waited = _last[1]

    def left(self) -> float:
        """Return how many seconds are left; the waits are looked at only when the time on the clock is over."""
        left = self._seconds - (time.monotonic() - self._begin)
        if left > 0:
            return left
        now = waits() if self._of is None else _read(self._of)
        return left + max(0.0, now - self._waited)


def count_waits_of(pid: int) -> None:
    """Count the waits of a child of ours as well, from its start on."""
    _children[pid] = 0.0


def forget(pid: int) -> None:
    """Let a child go that is about to end; what it has waited stays counted."""
    if pid in _children:
        _gone[0] += _waited(pid)
        del _children[pid]
