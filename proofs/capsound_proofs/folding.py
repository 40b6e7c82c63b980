"""Places that are alike are one place: twenty calls of an agent are a loop, and so are fifty chunks of a stream.

A sum over the calls at a place does not ask which place it was, so places may be summed up together. Two places fold
into one where a call does the same there: same block, same costs, same account, same phase. Every step of the machine
is a step between the places that its own fold into (``steps``), so every run of the machine is a run of the folded
one: what holds of all runs of that, holds of all runs of the machine. What is forgotten is how often a loop goes
round: an agent of twenty calls becomes one of any number, a stream of fifty chunks one of any length above one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from capsound.costs import CallCosts
from capsound.disciplines import Retry
from capsound.machine import Branch, Machine, Place
from capsound.scenario import Request

OUT = -1
"""Where a call is that is not admitted, or resolved: at no place that is summed up."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a call: a branch of the machine, and the places that its two ends fold into (``OUT``: none)."""

    branch: Branch
    source: int
    target: int


def folded(places: Iterable[Place]) -> tuple[int, ...]:
    """Return, for each place of a process, the first one that it is like; ``OUT`` where no admitted call can be."""
    first: dict[Any, int] = {}
    return tuple(
        first.setdefault(_likeness(place), at) if place.kind == "call" and not place.draws_size else OUT
        for at, place in enumerate(places)
    )


def steps(machine: Machine, processes: Iterable[int]) -> Iterator[Step]:
    """Yield the steps of calls of some processes: of those that do the same between the same places only one."""
    wanted = {process: folded(machine.processes[process].places) for process in processes}
    seen: set[Any] = set()
    for branch in machine.branches():
        fold = wanted.get(branch.process)
        place = machine.processes[branch.process].places[branch.place]
        if fold is None or place.kind != "call":
            continue
        target = fold[branch.place] if branch.kind == "crash" else _ends(machine, fold, place, branch.kind)
        step = Step(branch, fold[branch.place], target)
        # Nothing else of a place matters to a step: ``fire`` reads what is compared here.
        does = (branch.process, branch.kind, step.source, target, _meaning(place))
        if does not in seen:
            seen.add(does)
            yield step


def _ends(machine: Machine, fold: tuple[int, ...], place: Place, kind: str) -> int:
    """Return the fold of the place that a branch leads to."""
    retry = machine.discipline.retry
    match kind:
        case "run":
            at = place.next
        case "refuse":
            at = place.refused
        case "expire":
            at = dict(place.twins)[place.held_on]
        case "timeout" if retry is not Retry.NEVER:
            at = place.send if retry is Retry.SAME_HOLD else place.start
        case _:
            at = place.end
    # After its last block a call is over, whatever stands there next.
    return fold[at] if at < place.end else OUT


def _likeness(place: Place) -> Any:
    where = (place.ledgers, place.admitted_on, place.held_on, place.gone, place.elsewhere)
    return (place.block, place.account, place.phase, place.holds, alike(place.costs), where)


def _meaning(place: Place) -> Any:
    costs = alike(place.costs)
    # Where a stream stops within a chunk, what is billed after it was cut does not depend on what was left.
    left = 0 if costs is None or costs.bounds.stops_within_chunk else place.chunks_left
    does = (place.block, place.account, place.parent, place.phase, place.holds, place.draws_size)
    where = (place.charged, place.ledgers, place.admitted_on, place.held_on, place.gone, place.elsewhere)
    return (*does, place.on_refuse, place.aborts, place.silent, left, costs, where)


def alike(costs: CallCosts | None) -> CallCosts | None:
    """Return the costs without the number of the call, where nothing depends on it."""
    if costs is None or (isinstance(costs.cost, Request) and costs.cost.growth):
        return costs
    return replace(costs, earlier=0)
