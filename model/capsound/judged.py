"""Judging a run of a machine: by the monitor, which knows only its events and, where windows slide, its moments."""

from __future__ import annotations

from capsound.moments import spoken
from capsound.monitor import Monitor, fold
from capsound.processes import Machine
from capsound.report import Report
from capsound.rolled_up import CeilingMonitor
from capsound.schedule import Trace
from capsound.sliding import window_of
from capsound.windowed import WindowMonitor
from capsound.windows import Buckets, Sliding


class _Span(Sliding):
    """A window that slides, of a run that begins at no date."""

    def named(self, place: int) -> str:
        """Return what a window is called: how long after the beginning of the run it ends."""
        return f"up to {spoken(place)} after the start"


class _Buckets(Buckets):
    """A window in buckets, of a run that begins at no date."""

    def named(self, place: int) -> str:
        """Return what a window is called: how long after the beginning of the run its last bucket ends."""
        return f"up to {spoken(self.start + (place + 1) * self.length)} after the start"


def _of_run(window: Sliding | Buckets | None, trace: Trace) -> Sliding | Buckets | None:
    match window:
        case Sliding(length=length):
            return _Span(length)
        case Buckets(length=length, number=number):
            return _Buckets(length, number, trace.grid)
        case None:
            return None


def judge(machine: Machine, trace: Trace) -> Report:
    """Return what the monitor says of a run: of all of it, or at its moments where there are windows that slide."""
    if not trace.moments:
        return fold(trace.events)
    windows = iter([_of_run(window_of(machine, index), trace) for index in range(len(machine.accounts))])

    def opened() -> Monitor | WindowMonitor:
        window = next(windows)
        return Monitor() if window is None else WindowMonitor(window=window)

    monitor = CeilingMonitor(opened)
    for event in trace.opening:
        monitor.feed(event)
    for step, moment in zip(trace.steps, trace.moments, strict=True):
        monitor.passes(moment)
        for event in step.events:
            monitor.feed(event)
    return monitor.report()
