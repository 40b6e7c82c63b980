"""Long runs for people: a stretch of steps that repeats itself is shown once, and counted.

Two steps are alike where the same block was taken with the same kinds of events and the same amounts, by whomever. Only
what is shown is shortened: the JSON and the token of a run have every step.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from capsound.schedule import TraceStep

LONG = 60
"""A run of fewer steps is shown step by step."""

PERIOD = 24
"""How many steps are looked for at most that repeat themselves."""

TIMES = 4
"""A stretch is summed up where it stands so many times in a row."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Steps ``first`` to ``last``, counted from 0: one that is shown, or ``times`` repetitions of ``period`` steps."""

    first: int
    last: int
    period: int = 0
    times: int = 0


def shape(step: TraceStep) -> Hashable:
    """Return what steps that are alike have in common."""
    events = tuple((type(event).__name__, int(getattr(event, "amount", 0))) for event in step.events)
    return step.action, events


def summed_up(shapes: Sequence[Hashable]) -> Iterator[Shown]:
    """Yield what is shown of steps of these shapes, in order: each of them once, or its repetitions."""
    at = 0
    while at < len(shapes):
        period, times = _repetition(shapes, at) if len(shapes) >= LONG else (0, 0)
        if not times:
            yield Shown(at, at)
            at += 1
            continue
        yield from (Shown(at + step, at + step) for step in range(period))
        yield Shown(at + period, at + period * times - 1, period, times - 1)
        at += period * times


def _repetition(shapes: Sequence[Hashable], at: int) -> tuple[int, int]:
    """Return how many steps from here repeat themselves, and how often they stand there: what covers most."""
    best = (0, 0)
    for period in range(1, min(PERIOD, (len(shapes) - at) // TIMES) + 1):
        end = at + period
        while end < len(shapes) and shapes[end] == shapes[end - period]:
            end += 1
        times = (end - at) // period
        if times >= TIMES and period * times > best[0] * best[1]:
            best = (period, times)
    return best
