"""The shortest window: the least part of a history in which it can be seen that no order explains it.

``linearize`` names the first response that nothing explains, and all that came before may have to do with it. Here the
beginning is moved as late as it goes. A window is a stretch of time that ends with that response. *Whatever the
balances were when it began*, no order of what happened in it gives the answers that were given: so nobody has to read
what came before. Only who was open then is taken from before: accounts and holds, and the amounts of these. Of what
was under way when it began, nobody knows whether it had taken effect: both are tried. What cannot be explained in a
window cannot be in a longer one either, so that the latest beginning is found by halving.

Balances that could be anything are ranges (``ranges``); ``pasts`` gathers what is known of a moment, and ``explaining``
searches one window.

In the end each answer that changed nothing is left out, if what is left still has no explanation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from capsound_checker.histories.explaining import OutOfSteps, Search, StepBudget
from capsound_checker.histories.pasts import FailedHistory
from capsound_checker.histories.ranges import Range, after
from capsound_checker.histories.sequential import Moment, Op, Operation

__all__ = ["IN_ALL", "STEPS", "Range", "Window", "after", "explained", "shortest"]

STEPS, IN_ALL = 40_000, 80_000
"""How many transitions are tried for one beginning before it is given up, and for all of them."""


@dataclass(frozen=True, slots=True)
class Window:
    """The positions of its operations, and whether no later beginning and no fewer answers would do.

    ``begin`` is the number of invocations and responses before it.
    """

    begin: int
    operations: tuple[int, ...]
    shortest: bool


@dataclass(slots=True)
class _Question:
    """Whether windows of a history have an explanation, with so many transitions left for all of them."""

    history: FailedHistory
    left: int = IN_ALL

    def explained(self, cut: int, without: Collection[int]) -> bool:
        """Whether some balances at ``cut``, and some order of what came then, explain all answers until the end."""
        ops = [op for op in self.history.past(cut).within if op.index not in without]
        if self.history.failed not in ops:
            return True
        budget = StepBudget(min(STEPS, self.left), len(self.history.moments) // 100)  # to begin costs something as well
        try:
            return Search(self.history, cut, ops, budget).explains()
        finally:
            self.left -= budget.taken


def shortest(
    failed: Op, moments: Sequence[Moment], operations: Sequence[Operation], *, strict: bool, complete: bool
) -> Window | None:
    """Return the shortest window that ends with the response of ``failed``, which no order of ``moments`` explains.

    None where the search was given up before it had found any.
    """
    end = next(n for n, moment in enumerate(moments) if moment.ends and moment.op is failed) + 1
    history = FailedHistory(failed, moments[:end], operations, strict, complete)
    asked = _Question(history)
    if not history.narrowed() or (found := _latest(asked, end)) is None:
        history.only = ""
        return _latest(asked, end)
    history.only = ""
    try:
        if asked.explained(found.begin + 1, ()):
            return found
    except OutOfSteps:
        return replace(found, shortest=False)
    return _latest(asked, end) or replace(found, shortest=False)


def explained(
    failed: Op, moments: Sequence[Moment], operations: Sequence[Operation], cut: int, *, strict: bool, complete: bool
) -> bool | None:
    """Return whether the window from ``cut`` to the last of ``moments`` has an explanation; None where it is not known.

    The last of ``moments`` is the response of ``failed``. Each balance alone must have an explanation, and all of them.
    """
    history = FailedHistory(failed, moments, operations, strict, complete)
    asked = _Question(history)
    try:
        if history.narrowed() and not asked.explained(cut, ()):
            return False
        history.only = ""
        return asked.explained(cut, ())
    except OutOfSteps:
        return None


def _latest(asked: _Question, end: int) -> Window | None:
    """Return the window without an explanation that begins latest, without the answers that it can spare."""
    history = asked.history
    doubtful: set[int] = set()

    def explained(cut: int, without: Collection[int] = ()) -> bool:
        """Whether a window has an explanation; where that is not known in time it is taken for granted."""
        try:
            return asked.explained(cut, without)
        except OutOfSteps:
            doubtful.add(cut)
            return True

    late, size = end, 1  # the window at `late` has an explanation, the one at `early` has none
    early = max(0, end - size)
    while explained(early):
        if not early or asked.left <= 0:
            return None
        late, size = early, 2 * size
        early = max(0, end - size)
    while late - early > 1:
        middle = (early + late) // 2
        if explained(middle):
            late = middle
        else:
            early = middle
    sure = late not in doubtful
    doubtful.clear()
    ops = history.past(early).within
    idle: set[int] = set()
    left = [[op.index for op in ops if op.passive and op is not history.failed]]
    while left:  # leave out all of them, or else each half of them
        some = left.pop()
        if some and not explained(early, idle.union(some)):
            idle.update(some)
        elif len(some) > 1:
            left += [some[len(some) // 2 :], some[: len(some) // 2]]
    kept = [op.index for op in ops if op.index not in idle]
    kept.sort(key=lambda index: (history.operations[index].called, index))
    return Window(early, tuple(kept), sure and not doubtful)
