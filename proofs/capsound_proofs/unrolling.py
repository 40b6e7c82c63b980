"""The steps of a machine as terms: one unrolling per machine, one more step at a time, with every amount symbolic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3

from capsound.errors import Disagreement
from capsound.machine import Branch, Config, Env, Machine, fire, initial, thaw
from capsound.predicates import sum_billed, violates
from capsound.properties import Property
from capsound.schedule import INTS, Choice, Schedule, settled
from capsound_proofs.terms import TERMS, Term, conj, integer, same, truth, value_of
from capsound_proofs.work import Model, Work

Lemma = Callable[[Config], list[Term]]

BRANCH = 500
"""The work that it counts for to encode one branch of one step: about what z3 counts in the same time."""


@dataclass(slots=True)
class Draws:
    """The amounts that the environment chooses in one step: shared by all branches, since one is taken."""

    step: int
    pool: list[Term]
    used: int = 0
    bounds: list[Term] | None = None
    names: list[Term] | None = None

    def begin(self) -> None:
        """Start a branch: it may use the pool from the front."""
        self.used = 0
        self.bounds = []
        self.names = []

    def __call__(self, _name: str, lo: Term, hi: Term | None) -> Term:
        """Return the next amount, bounded for the branch that asked."""
        assert self.bounds is not None
        assert self.names is not None
        if hi is not None and same(lo, hi):
            self.names.append(lo)
            return lo
        if self.used == len(self.pool):
            self.pool.append(z3.Int(f"draw{self.used}@{self.step}"))
        amount = self.pool[self.used]
        self.used += 1
        self.bounds.append(amount >= lo)
        if hi is not None:
            self.bounds.append(amount <= hi)
        self.names.append(amount)
        return amount


@dataclass(frozen=True, slots=True)
class Taken:
    """One branch at one step: the literal that selects it, and the draws it uses."""

    branch: Branch
    literal: Term
    draws: tuple[Term, ...]


class Unrolling:
    """The runs of a machine of at most so many steps, as constraints in one solver."""

    def __init__(self, machine: Machine, work: Work, *, lemma: Lemma | None = None, cap: int | None = None) -> None:
        self.machine = machine
        self.work = work
        self.lemma = lemma
        self.solver = work.solver()
        cap_interval = machine.cap
        if cap is not None:
            self.cap: Term = cap
        elif cap_interval.fixed:
            self.cap = cap_interval.lo
        else:
            self.cap = z3.Int("cap")
            self.solver.add(self.cap >= cap_interval.lo)
            if cap_interval.hi is not None:
                self.solver.add(self.cap <= cap_interval.hi)
        self.states: list[Config] = [initial(machine, self.cap)]
        self.steps: list[list[Taken]] = []
        self.branches = list(machine.branches())
        self.soonest = _soonest(machine)
        self.first_of_group = _previous_in_group(machine)
        self._assert_lemma(self.states[0])

    def _assert_lemma(self, config: Config) -> None:
        if self.lemma is not None:
            for fact in self.lemma(config):
                if fact is not True:
                    self.solver.add(truth(fact))

    def extend(self) -> None:
        """Add one more step."""
        number = len(self.steps)
        here = self.states[-1]
        draws = Draws(number, [])
        taken: list[Taken] = []
        outcomes: list[tuple[Term, tuple[Term, ...]]] = []
        before = here.flat()
        for branch in self.branches:
            if self.soonest[branch.process, branch.place] > number:
                continue
            at = here.running[branch.process].at
            there = at == branch.place
            if there is False:
                continue
            conditions: list[Term] = [there]
            previous = self.first_of_group.get(branch.process)
            if branch.place == 0 and previous is not None:
                conditions.append(here.running[previous].at != 0)
            after = here.copy()
            after.running[branch.process].at = branch.place
            draws.begin()
            conditions += fire(self.machine, after, branch, Env(TERMS, draws))
            assert draws.bounds is not None
            assert draws.names is not None
            guard = conj([*conditions, *draws.bounds])
            if guard is False:
                continue
            literal = z3.Bool(f"step{number}:{branch.process}.{branch.place}.{branch.kind}")
            self.solver.add(z3.Implies(literal, truth(guard)))
            taken.append(Taken(branch, literal, tuple(draws.names)))
            outcomes.append((literal, after.flat()))
        literals = [t.literal for t in taken]
        self.solver.add(z3.Or(*literals) if literals else z3.BoolVal(False))
        if len(literals) > 1:
            self.solver.add(z3.AtMost(*literals, 1))
        self.work.spend(BRANCH * len(taken))
        self.steps.append(taken)
        self.states.append(self._join(number, before, outcomes))
        self._assert_lemma(self.states[-1])

    def _join(self, number: int, before: tuple[Term, ...], outcomes: list[tuple[Term, tuple[Term, ...]]]) -> Config:
        """Return the state after the step: each variable as the taken branch leaves it."""
        joined: list[Term] = []
        for position, old in enumerate(before):
            value: Term = old
            changed = False
            for literal, after in outcomes:
                if not same(after[position], old):
                    changed = True
                    value = z3.If(literal, integer(after[position]), integer(value))
            if changed:
                fresh = z3.Int(f"v{position}@{number + 1}")
                self.solver.add(fresh == value)
                value = fresh
            joined.append(value)
        return thaw(self.machine, tuple(joined))

    # ------------------------------------------------------------------------------------------ asking

    def broken(self, prop: Property) -> Term:
        """Return the term that says the property is broken after the last step."""
        return truth(violates(self.machine, self.states[-1], prop, TERMS))

    def ask(self, *goals: Term) -> z3.CheckSatResult:
        """Ask whether a run of exactly the present length satisfies the goals."""
        return self.solver.check(*goals)

    def schedule(self, model: Model) -> Schedule:
        """Return the run that a model describes, executed on integers on the way.

        Raises ``Disagreement`` when the integers do not follow the model: the encoding would be wrong.
        """
        cap = value_of(model, self.cap)
        config = initial(self.machine, cap)
        choices = []
        for number, taken in enumerate(self.steps):
            chosen = next(t for t in taken if model.holds(t.literal))
            given = iter([value_of(model, amount) for amount in chosen.draws])
            free: list[int] = []

            def draw(_name: str, lo: int, hi: int | None, given: Iterator[int] = given, free: list[int] = free) -> int:
                amount = next(given)
                if lo != hi:
                    free.append(amount)
                return amount

            conditions = fire(self.machine, config, chosen.branch, Env(INTS, draw))
            expected = tuple(value_of(model, term) for term in self.states[number + 1].flat())
            if not settled(conditions) or config.flat() != expected:
                raise Disagreement(
                    f"step {number + 1} of the solver's run, {chosen.branch}, is not a step of the model",
                    cause="the encoding and the model disagree, so the counterexample is not shown",
                    hint="please report the scenario",
                )
            kind = "run" if chosen.branch.kind == "refuse" else chosen.branch.kind
            choices.append(Choice(chosen.branch.process, kind, tuple(free)))
        return Schedule(cap, tuple(choices))

    def overshoot(self) -> Term:
        """Return by how much the true bills are above the cap after the last step."""
        return integer(sum_billed(self.states[-1]) - self.states[-1].ledgers[0].granted)


def _soonest(machine: Machine) -> dict[tuple[int, int], int]:
    """Return after how many steps a process can be at a place at the earliest."""
    soonest: dict[tuple[int, int], int] = {}
    for index, process in enumerate(machine.processes):
        distance = {0: 0}
        frontier = [0]
        while frontier:
            at = frontier.pop(0)
            if at >= process.done:
                continue
            place = process.places[at]
            for target in {place.next, place.refused if place.guarded else place.next, place.end}:
                if target not in distance:
                    distance[target] = distance[at] + 1
                    frontier.append(target)
        for at, steps in distance.items():
            soonest[index, at] = steps
    return soonest


def _previous_in_group(machine: Machine) -> dict[int, int]:
    """Return, for each agent but the first of its group, the one that has to move before it.

    Identical agents are interchangeable: any run can be renamed so that they start in order.
    """
    last: dict[tuple[bool, int, int], int] = {}
    previous: dict[int, int] = {}
    for index, process in enumerate(machine.processes):
        if process.family in last:
            previous[index] = last[process.family]
        last[process.family] = index
    return previous
