"""Moments for a run with windows that slide: when each step happens, so that what leaves them is as old as they are.

A machine says only in which order things happen and leave. For a window of any length there are moments for that order,
as long as nothing leaves before what came earlier (``capsound.sliding``): here they are found, as early as possible. It
is a matter of differences: a step comes after another by so much at least, and the longest way to it is its moment.

Where something leaves in whole buckets, those steps are on a grid besides: how many buckets lie between them is tried.
There may then be no moments, or none that are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

from capsound.windows import HOUR, MINUTE, SECOND

TRIED = 400
"""How many ways to lay steps on the grid are tried."""

_NICE = (HOUR, 30 * MINUTE, 10 * MINUTE, 5 * MINUTE, MINUTE, 30 * SECOND, 10 * SECOND, 5 * SECOND, SECOND)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in the windows after a step: how many entries, and which of them, from 0 on, has costs in a bucket."""

    live: int
    costs: tuple[int, ...] = ()


Distance = tuple[int, int, int]
"""A step, another, and how much later that is at least; where negative, how much earlier at most."""


@dataclass(slots=True)
class _Order:
    """What is known of the moments of a run: of its steps, counted from 1; 0 is when it begins."""

    length: int
    bucket: int
    gap: int
    distances: list[Distance] = field(default_factory=list)
    grid: list[list[int]] = field(default_factory=list)
    """The steps at which a bucket is forgotten: those that follow each other are at one moment."""

    def exactly(self, earlier: int, later: int, distance: int) -> None:
        self.distances += [(earlier, later, distance), (later, earlier, -distance)]

    def on_grid(self, step: int, entry: int) -> None:
        """Note that a step begins the bucket in which an entry of the bucket ``length`` before it is forgotten."""
        self.distances += [(entry, step, self.length - self.bucket + self.gap), (step, entry, -self.length)]
        if self.grid and self.grid[-1][-1] == step - 1:
            self.exactly(step - 1, step, 0)
            self.grid[-1].append(step)
        else:
            self.grid.append([step])


def moments(length: int, kept: Sequence[Kept], bucket: int = 0, *, leaves_by_bucket: bool = False) -> tuple[int, ...]:
    """Return the moment of each step, in nanoseconds after the run began; nothing where none are found.

    ``kept`` is what is there at first and after each step. Where there is one entry less, the oldest leaves in that
    step; where there is one more, it came in it. ``bucket`` is how long a bucket is, if costs are forgotten by it;
    ``leaves_by_bucket`` if everything leaves by it. A step comes later than the one before, but for what leaves
    together.
    """
    steps = len(kept) - 1
    within = bucket or length
    gap = next((nice for nice in _NICE if nice * (steps + 2) <= within), within // (steps + 2))
    if not gap:
        return ()
    order = _Order(length, bucket, gap)
    _lay_out(order, kept, leaves_by_bucket=leaves_by_bucket)
    groups = [group[0] for group in order.grid]
    most = 2 * (length // bucket) + 1 if bucket else 1
    for number, between in enumerate(product(range(most + 1), repeat=max(0, len(groups) - 1))):
        if number == TRIED:
            break
        pairs = zip(groups[:-1], groups[1:], between, strict=True)
        fixed = [(a, b, n * bucket) for a, b, n in pairs]
        found = _least([*order.distances, *fixed, *((b, a, -distance) for a, b, distance in fixed)], steps)
        if found is not None:
            return found
    return ()


def _lay_out(order: _Order, kept: Sequence[Kept], *, leaves_by_bucket: bool) -> None:
    length, gap = order.length, order.gap
    live = [0] * kept[0].live
    left_before = False
    for step, (before, now) in enumerate(pairwise(kept), start=1):
        leaves = now.live < before.live
        drops = now.live == before.live and len(now.costs) < len(before.costs)
        passes = leaves or drops
        order.distances.append((step - 1, step, 0 if passes and left_before else gap))
        if drops:
            order.on_grid(step, live[before.costs[0]])
        elif leaves and leaves_by_bucket:
            order.on_grid(step, live.pop(0))
        elif leaves:
            order.exactly(live.pop(0), step, length)
        elif now.live > before.live:
            live.append(step)
        # What is still there has not left: it is younger than the window, or leaves at the same moment.
        if not leaves_by_bucket:
            order.distances += [(step, entry, (0 if passes else gap) - length) for entry in live[:1]]
        left_before = passes
    last = len(kept) - 1
    if leaves_by_bucket:
        order.distances += [(last, entry, gap + order.bucket - length) for entry in live[:1] if order.grid]
        order.distances += [(last, 0, gap - length)] * (not order.grid)
    else:
        order.distances += [(last, live[slot], order.bucket - length) for slot in kept[-1].costs[:1]]


def _least(distances: Sequence[Distance], steps: int) -> tuple[int, ...] | None:
    """Return the earliest moments that keep all distances, None where none do."""
    least = [0] * (steps + 1)
    for _ in range(steps + 2):
        moved = False
        for earlier, later, distance in distances:
            if least[earlier] + distance > least[later]:
                least[later] = least[earlier] + distance
                moved = True
        if not moved:
            return tuple(least[1:]) if not least[0] else tuple(at - least[0] for at in least[1:])
    return None


def grid_of(moments: Sequence[int], kept: Sequence[Kept], bucket: int) -> int:
    """Return when a bucket begins, of a run in which everything leaves by it."""
    pairs = zip(kept[:-1], kept[1:], moments, strict=True)
    return next((at % bucket for before, now, at in pairs if now.live < before.live), 0)


def spoken(span: int) -> str:
    """Return a time after the beginning of a run, as people say it: ``25 h``, ``90 min``."""
    hours, minutes = divmod(span, HOUR)
    if hours and minutes and span % MINUTE == 0:
        return f"{hours} h {minutes // MINUTE} min"
    for unit, name in ((HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if span % unit == 0:
            return f"{span // unit} {name}"
    return f"{span / SECOND:.9f}".rstrip("0") + " s"
