"""The largest overshoot: an upper bound from the invariant, a lower bound from runs that attain it.

The upper bound is what the proved invariant leaves room for, found by bisection with a plain solver. The lower
bound is a run: all agents in step, all in a row, or the counterexample continued. Where they meet, the largest
overshoot is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import z3

from capsound.machine import Branch, Config, Env, Machine, fire, initial
from capsound.predicates import sum_billed
from capsound.schedule import INTS, Choice, NeedDraw, Schedule, Script, possible, settled
from capsound_proofs.invariants import Invariant, total_billed
from capsound_proofs.terms import largest
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
    abstraction = invariant.abstraction
    granted = abstraction.ledgers[0].granted
    solver = Work(BOUND, ceiling).solver()
    solver.add(*abstraction.system.axioms, *[c.formula for c in invariant.kept])
    if cap is not None:
        solver.add(granted == cap)
    over = total_billed(abstraction) - granted

    def left_open(amount: int) -> bool:
        # Giving up rules nothing out: taken for "no" it would print a bound that nobody has proved.
        return amount < UNBOUNDED and bool(solver.check(over >= amount) != z3.unsat)

    if solver.check(over >= UNBOUNDED) != z3.unsat:
        return None
    return largest(left_open, 0)


def attained(machine: Machine, cap: int, found: Schedule | None) -> tuple[int, Schedule | None]:
    """Return the largest overshoot among some telling runs, and the run."""
    best: tuple[int, Schedule | None] = (0, None)
    starts: list[Schedule] = [Schedule(cap, ())]
    if found is not None and found.cap == cap:
        starts.append(found)
    starts += [start for extremes in EXTREMES if (start := _brink(machine, cap, extremes)).choices]
    for start in starts:
        for order in (_in_step, _in_a_row):
            for extremes in EXTREMES:
                config, choices = _play(machine, start)
                if config is None:
                    continue
                _continue(machine, config, choices, order, extremes)
                over = sum_billed(config) - cap
                if over > best[0]:
                    best = (over, Schedule(cap, tuple(choices)))
    return best


def _brink(machine: Machine, cap: int, extremes: Extremes) -> Schedule:
    """Return a run of whole calls, one after the other, that stops before the last one that is admitted.

    From there all agents still find room for a call, and each has one left, if it can be done: those with most calls
    to come go first.
    """
    config = initial(machine, cap)
    choices: list[Choice] = []
    last = 0
    while live := _in_step(machine, config):
        index = max(live, key=lambda i: machine.processes[i].done - config.running[i].at)
        place = machine.processes[index].places[config.running[index].at]
        before, billed = len(choices), sum_billed(config)
        while 0 <= config.running[index].at < place.end:
            drawn: list[int] = []
            if not _advance(machine, config, index, Env(INTS, extremes.drawer(drawn)), drawn):
                return Schedule(cap, tuple(choices[:last]))
            choices.append(Choice(index, "run", tuple(drawn)))
        if place.kind == "call":
            if sum_billed(config) == billed:
                break
            last = before
    return Schedule(cap, tuple(choices[:last]))


def _play(machine: Machine, schedule: Schedule) -> tuple[Config | None, list[Choice]]:
    """Return the state after a schedule, and its choices as a list to go on with."""
    config = initial(machine, schedule.cap)
    for choice in schedule.choices:
        try:
            branch = possible(machine, config, choice)
            if branch is None:
                return None, []
            fire(machine, config, branch, Env(INTS, Script(choice.draws)))
        except NeedDraw:
            return None, []
    return config, list(schedule.choices)


Order = Callable[[Machine, Config], list[int]]


@dataclass(frozen=True, slots=True)
class Extremes:
    """Whether bills, and estimates, are the largest that are bounded, or the smallest."""

    bills: bool
    sizes: bool

    def drawer(self, drawn: list[int]) -> Callable[[str, int, int | None], int]:
        """Return what chooses amounts, and notes those that are a choice in ``drawn``."""

        def draw(name: str, lo: int, hi: int | None) -> int:
            top = self.sizes if name == "size" else self.bills and name not in ("grant", "told")
            value = max(lo, hi) if top and hi is not None else lo
            if lo != hi:
                drawn.append(value)
            return value

        return draw


EXTREMES = (Extremes(bills=True, sizes=False), Extremes(bills=False, sizes=False), Extremes(bills=True, sizes=True))
"""The estimate that leaves most room for others is the smallest; under A1 the largest bill needs the largest."""


def _in_step(machine: Machine, config: Config) -> list[int]:
    """One block of every agent, then the next block of every agent."""
    return [i for i, p in enumerate(machine.processes) if 0 <= config.running[i].at < p.done]


def _in_a_row(machine: Machine, config: Config) -> list[int]:
    """All blocks of the first agent, then those of the second."""
    live = _in_step(machine, config)
    return live[:1] if live else []


def _continue(machine: Machine, config: Config, choices: list[Choice], order: Order, extremes: Extremes) -> None:
    """Run every process to its end, with amounts at their extremes."""
    while True:
        moved = False
        for index in order(machine, config):
            drawn: list[int] = []
            if _advance(machine, config, index, Env(INTS, extremes.drawer(drawn)), drawn):
                choices.append(Choice(index, "run", tuple(drawn)))
                moved = True
        if not moved:
            if order is _in_a_row and len(_in_step(machine, config)) > 1:
                order = _in_step
                continue
            return


def _advance(machine: Machine, config: Config, index: int, env: Env, drawn: list[int]) -> bool:
    """Let one process take its block, or be refused, in place; return whether it could do either."""
    at = config.running[index].at
    for kind in ("run", "refuse") if machine.processes[index].places[at].guarded else ("run",):
        drawn.clear()
        if settled(fire(machine, config, Branch(index, at, kind), env)):
            return True
    return False


def admits(machine: Machine, cap: int) -> bool:
    """Return whether a call is admitted when the agents take turns and the environment chooses least."""
    admitted: list[str] = []

    def note(kind: str, *_: object) -> None:
        if kind == "reserve":
            admitted.append(kind)

    config = initial(machine, cap)
    env = Env(INTS, lambda _name, lo, _hi: lo, note)
    moved = True
    while moved and not admitted:
        moved = False
        for index in _in_step(machine, config):
            moved |= _advance(machine, config, index, env, [])
    return bool(admitted)
