"""Bounded search: the shortest schedule of a machine that breaks a property, with every amount symbolic.

One unrolling per machine, one more step at a time, so that the first satisfiable length is the shortest. Facts
that have been proved for every state may be asserted at every step (``lemma``): without them a search that
has to fail takes minutes at ten steps, with them a tenth of a second at forty (docs/measurements.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3

from capsound.errors import Disagreement
from capsound.machine import Branch, Config, Env, Machine, fire, initial, thaw
from capsound.predicates import sum_billed, violates
from capsound.properties import Property
from capsound.schedule import INTS, Choice, Schedule, settled
from capsound_proofs.terms import TERMS, Term, conj, disj, integer, negation, same, truth, value_of

Lemma = Callable[[Config], list[Term]]


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

    def __init__(self, machine: Machine, *, lemma: Lemma | None = None, cap: int | None = None) -> None:
        self.machine = machine
        self.lemma = lemma
        self.solver = z3.SimpleSolver()
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

    def ask(self, *goals: Term, seconds: float) -> z3.CheckSatResult:
        """Ask whether a run of exactly the present length satisfies the goals."""
        self.solver.set("timeout", max(1, int(seconds * 1000)))
        return self.solver.check(*goals)

    def schedule(self, model: z3.ModelRef) -> Schedule:
        """Return the run that a model describes, executed on integers on the way.

        Raises ``Disagreement`` when the integers do not follow the model: the encoding would be wrong.
        """
        cap = value_of(model, self.cap)
        config = initial(self.machine, cap)
        choices = []
        for number, taken in enumerate(self.steps):
            chosen = next(t for t in taken if z3.is_true(model.eval(t.literal, model_completion=True)))
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


@dataclass(frozen=True, slots=True)
class Found:
    """A shortest counterexample, as a schedule of ``machine``."""

    schedule: Schedule
    machine: Machine


@dataclass(frozen=True, slots=True)
class Searched:
    """No counterexample in ``steps`` steps; ``complete`` if no run is longer; ``timed_out`` if time ran out."""

    steps: int
    complete: bool
    timed_out: bool


def shortest(
    machine_for: Callable[[int], Machine],
    prop: Property,
    *,
    max_steps: int,
    seconds: float,
    lemma_for: Callable[[Machine], Lemma | None] = lambda _: None,
    agents_at: Callable[[int], int],
    progress: Callable[[int], None] = lambda _: None,
) -> Found | Searched:
    """Return the shortest schedule that breaks ``prop``: fewest steps, then agents, then amounts.

    ``agents_at(k)`` is how many agents of a group can matter in ``k`` steps; ``machine_for`` builds the
    machine with that many.
    """
    began = time.monotonic()
    agents = agents_at(1)
    machine = machine_for(agents)
    unrolling = Unrolling(machine, lemma=lemma_for(machine))
    for steps in range(1, max_steps + 1):
        progress(steps)
        wanted = agents_at(steps)
        if wanted > agents:
            agents = wanted
            machine = machine_for(agents)
            unrolling = Unrolling(machine, lemma=lemma_for(machine))
            for _ in range(steps - 1):
                unrolling.extend()
        unrolling.extend()
        left = seconds - (time.monotonic() - began)
        if left <= 0:
            return Searched(steps - 1, False, True)
        answer = unrolling.ask(unrolling.broken(prop), seconds=left)
        if answer == z3.sat:
            model = unrolling.solver.model()
            goal = [unrolling.broken(prop)]
            left = seconds - (time.monotonic() - began)
            model = _smallest(unrolling, goal, model, max(0.5, left))
            return Found(unrolling.schedule(model), machine)
        if answer == z3.unknown:
            return Searched(steps - 1, False, True)
        if unrolling.ask(seconds=left) == z3.unsat and agents_at(max_steps) <= agents:
            # No run is as long as this, with all agents that there are: everything has been seen.
            return Searched(steps, True, False)
    return Searched(max_steps, False, False)


def _smallest(unrolling: Unrolling, goal: list[Term], model: z3.ModelRef, seconds: float) -> z3.ModelRef:
    """Return a model of the same length with fewest agents, then smallest amounts.

    Bisection with a plain solver: ``Optimize`` times out where this takes tenths of a second.
    """
    deadline = time.monotonic() + seconds
    final = unrolling.states[-1]
    moved = z3.Sum([z3.If(truth(negation(r.at == 0)), z3.IntVal(1), z3.IntVal(0)) for r in final.running])
    amounts: list[Term] = [moved]
    if not isinstance(unrolling.cap, int):
        amounts.append(unrolling.cap)
    used = _chosen_amounts(unrolling)
    if used:
        amounts.append(z3.Sum(used))
    amounts.append(unrolling.overshoot())
    fixed = list(goal)
    for amount in amounts:
        model = _lower(unrolling, fixed, integer(amount), model, deadline)
    return _first_in_order(unrolling, fixed, model, deadline)


def _chosen_amounts(unrolling: Unrolling) -> list[Term]:
    """Return every amount that the environment chooses, as zero in the branches that do not use it."""
    out: list[Term] = []
    for taken in unrolling.steps:
        users: dict[int, tuple[Term, list[Term]]] = {}
        for t in taken:
            for amount in t.draws:
                if z3.is_expr(amount) and amount.decl().name().startswith("draw"):
                    users.setdefault(amount.get_id(), (amount, []))[1].append(t.literal)
        out += [z3.If(truth(disj(literals)), amount, z3.IntVal(0)) for amount, literals in users.values()]
    return out


def _first_in_order(unrolling: Unrolling, fixed: list[Term], model: z3.ModelRef, deadline: float) -> z3.ModelRef:
    """Return the model whose schedule comes first: at each step the lowest process that leads there.

    Of all the shortest schedules that is the one with the fewest changes of agent at the front, and it is the
    same whichever model the solver happened to find.
    """
    for taken in unrolling.steps:
        chosen = next(t for t in taken if z3.is_true(model.eval(t.literal, model_completion=True)))
        for earlier in taken:
            if earlier is chosen:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                return model
            if unrolling.ask(*fixed, earlier.literal, seconds=left) == z3.sat:
                model = unrolling.solver.model()
                chosen = earlier
                break
        fixed.append(chosen.literal)
    for taken in unrolling.steps:
        chosen = next(t for t in taken if z3.is_true(model.eval(t.literal, model_completion=True)))
        for amount in chosen.draws:
            model = _lower(unrolling, fixed, integer(amount), model, deadline)
    return model


def _lower(unrolling: Unrolling, fixed: list[Term], amount: Term, model: z3.ModelRef, deadline: float) -> z3.ModelRef:
    """Return a model in which ``amount`` is smallest, and keep it there: ``fixed`` grows by its value."""
    low, high = 0, value_of(model, amount)
    while low < high:
        left = deadline - time.monotonic()
        middle = (low + high) // 2
        if left <= 0:
            return model
        if unrolling.ask(*fixed, amount <= middle, seconds=left) == z3.sat:
            model = unrolling.solver.model()
            high = value_of(model, amount)
        else:
            low = middle + 1
    fixed.append(amount == high)
    return model


def most_overshoot(
    machine: Machine,
    *,
    cap: int,
    least: int,
    most: int | None,
    steps: int,
    lemma: Lemma | None,
    seconds: float,
    further: int = 2,
) -> tuple[int, Schedule] | None:
    """Return the largest overshoot above ``least`` of runs of ``steps`` to ``steps + further`` steps.

    Doubling and bisection with a plain solver; None where no such run was found in time.
    """
    deadline = time.monotonic() + seconds
    unrolling = Unrolling(machine, lemma=lemma, cap=cap)
    best: tuple[int, Schedule] | None = None
    known = least
    for length in range(1, steps + further + 1):
        unrolling.extend()
        if length < steps:
            continue
        # Ask for all that the proof leaves room for first: where it is attained, that is one query.
        step = 1 if most is None else most - known
        while most is None or known < most:
            left = deadline - time.monotonic()
            if left <= 0:
                return best
            target = known + step if most is None else min(known + step, most)
            answer = unrolling.ask(unrolling.overshoot() >= target, seconds=left)
            if answer == z3.sat:
                model = unrolling.solver.model()
                known = value_of(model, unrolling.overshoot())
                best = (known, unrolling.schedule(model))
                step *= 2
            elif step > 1:
                step = 1
            else:
                break
    return best
