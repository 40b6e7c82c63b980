"""The largest overshoot: an upper bound from the invariant, a lower bound from runs that attain it.

The upper bound is what the proved invariant leaves room for, found by bisection with a plain solver. The lower
bound is a run: all agents in step, all in a row, or the counterexample continued. Where they meet, the largest
overshoot is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import z3

from capsound.machine import Machine, initial
from capsound.predicates import overshoot
from capsound.schedule import INTS, Schedule
from capsound_proofs.choosing import GREEDY, LEAST, SAVING, extremes_of
from capsound_proofs.invariants import Invariant, total_billed
from capsound_proofs.playing import (
    advance,
    callers_first,
    calls_in_turn,
    filled_up,
    in_a_row,
    in_step,
    play_on,
    played,
)
from capsound_proofs.terms import Term, largest
from capsound_proofs.work import Ceiling, Work

UNBOUNDED = 10**30
"""An overshoot that no scenario amount explains: if the invariant leaves room for it, there is no bound."""

BOUND = 20_000_000
"""The work to bound an overshoot from above."""

MANY_AGENTS = 4096
"""Runs of more agents than this are not executed to attain a bound."""


@dataclass(frozen=True, slots=True)
class Worst:
    """The largest overshoot. ``most`` is None where the assumptions give no bound; ``run`` attains ``least``."""

    least: int
    most: int | None
    run: Schedule | None

    @property
    def exact(self) -> bool:
        """Whether the bound is attained."""
        return self.most is not None and self.least == self.most


def upper_bound(invariant: Invariant, cap: int | None, ceiling: Ceiling | None = None) -> int | None:
    """Return the largest overshoot that the invariant leaves room for at this cap, None if there is no bound."""
    granted = invariant.abstraction.ledgers[0].granted
    over = total_billed(invariant.abstraction) - granted
    return largest_above(invariant, over, ceiling, *([granted == cap] if cap is not None else []))


def largest_above(invariant: Invariant, over: Term, ceiling: Ceiling | None, *facts: Term) -> int | None:
    """Return the largest amount that a term is in any state that the invariant allows, at least 0; None for any.

    ``facts`` are what else is known of these states.
    """
    solver = Work(BOUND, ceiling).solver()
    solver.add(*invariant.abstraction.system.axioms, *[c.formula for c in invariant.kept], *facts)

    def left_open(amount: int) -> bool:
        # Giving up rules nothing out: taken for "no" it would print a bound that nobody has proved.
        return amount < UNBOUNDED and bool(solver.check(over >= amount) != z3.unsat)

    if solver.check(over >= UNBOUNDED) != z3.unsat:
        return None
    return largest(left_open, 0)


def attained(
    machine: Machine, cap: int, found: Schedule | None, most: int | None = None
) -> tuple[int, Schedule | None]:
    """Return the largest overshoot among some telling runs, and the run. None has more than ``most``."""
    best: tuple[int, Schedule | None] = (0, None)
    starts: list[Schedule] = [Schedule(cap, ())]
    if found is not None and found.cap == cap:
        starts.append(found)
    for extremes in extremes_of(machine):
        run, marks = calls_in_turn(machine, cap, extremes)
        starts += [Schedule(cap, run.choices[:mark]) for mark in marks[-1:] if mark]
        starts += filled_up(machine, run, marks, extremes)
    ways = [(order, how) for order in (in_step, in_a_row) for how in extremes_of(machine)]
    further = [(order, GREEDY) for order in (in_step, callers_first)] + [(in_step, SAVING)]
    for start, on in [*((start, ways) for start in starts), (Schedule(cap, ()), further)]:
        begun, before = played(machine, start)  # once for all ways to go on
        if begun is None:
            continue
        for order, extremes in on:
            config, choices = begun.copy(), list(before)
            for _ in play_on(machine, config, choices, order, extremes):
                pass
            over = overshoot(machine, config, INTS)
            if over > best[0]:
                best = (over, Schedule(cap, tuple(choices)))
            if over == most:
                return best
    return best


def admits(machine: Machine, cap: int) -> bool:
    """Return whether a call is admitted when the agents take turns and the environment chooses least."""
    admitted: list[str] = []

    def note(kind: str, *_: object) -> None:
        if kind == "reserve":
            admitted.append(kind)

    config = initial(machine, cap)
    moved = True
    while moved and not admitted:
        moved = False
        for index in in_step(machine, config):
            moved |= advance(machine, config, [], index, LEAST.choose, note)
    return bool(admitted)
