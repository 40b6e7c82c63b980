"""Bounded search: the shortest schedule of a machine that breaks a property, with every amount symbolic.

One unrolling per machine, one more step at a time, so that the first satisfiable length is the shortest. Facts proved
for every state may be asserted at each step (``lemma``): a failing search then takes a tenth of a second, not minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import z3

from capsound.errors import Disagreement
from capsound.machine import Branch, Config, Env, Machine, fire, initial, thaw
from capsound.predicates import sum_billed, violates
from capsound.properties import Property
from capsound.schedule import INTS, Choice, Schedule, settled
from capsound_proofs.terms import TERMS, Term, conj, disj, integer, negation, same, truth, value_of
from capsound_proofs.work import Ceiling, Model, Work

Lemma = Callable[[Config], list[Term]]

SEARCH = 12_000_000
"""The work for one property: what the shipped scenarios need is below a tenth of it."""

BRANCH = 500
"""The work that it counts for to encode one branch of one step: about what z3 counts in the same time."""

SHRINK = 10_000_000
"""The work that is always left to make a counterexample small."""

OVERSHOOT = 5_000_000
"""The work to find a run of more overshoot than is known."""


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


@dataclass(frozen=True, slots=True)
class Found:
    """A shortest counterexample, as a schedule of ``machine``."""

    schedule: Schedule
    machine: Machine


@dataclass(frozen=True, slots=True)
class Searched:
    """No counterexample in ``steps`` steps of ``machine``, or of one with fewer agents where they cannot matter.

    ``witness`` is a longest run: where there is one, ``machine`` has every agent and no run is longer, so that all
    has been seen. ``gave_up`` is whether the search ended before its bound on steps.
    """

    steps: int
    machine: Machine
    witness: Schedule | None = None
    gave_up: bool = False

    @property
    def complete(self) -> bool:
        """Whether every run has been seen."""
        return self.witness is not None


def shortest(
    machine_for: Callable[[int], Machine],
    prop: Property,
    *,
    max_steps: int,
    agents_at: Callable[[int], int],
    everybody: int | None,
    lemma_for: Callable[[Machine], Lemma | None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
    ceiling: Ceiling | None = None,
    work: int = SEARCH,
) -> Found | Searched:
    """Return the shortest schedule that breaks ``prop``: fewest steps, then agents, then amounts.

    ``agents_at(k)`` is how many agents of an entry can matter in ``k`` steps; ``machine_for`` builds the machine with
    that many. With ``everybody`` it has all of them; None where no machine has.
    """
    agents = agents_at(1)
    machine = machine_for(agents)
    unrolling = Unrolling(machine, Work(work, ceiling), lemma=lemma_for(machine))

    def rebuilt(steps: int) -> Unrolling:
        again = Unrolling(machine, Work(unrolling.work.left, ceiling), lemma=lemma_for(machine))
        for _ in range(steps):
            again.extend()
        return again

    if unrolling.ask(unrolling.broken(prop)) == z3.sat:
        # Broken before anything moves: a cap that no machine integer holds.
        return Found(_smallest(unrolling, unrolling.broken(prop)), machine)
    for steps in range(1, max_steps + 1):
        progress(steps)
        wanted = agents_at(steps)
        if wanted > agents:
            agents = wanted
            machine = machine_for(agents)
            unrolling = rebuilt(steps - 1)
        unrolling.extend()
        while True:
            answer = unrolling.ask(unrolling.broken(prop))
            if answer == z3.sat:
                return Found(_smallest(unrolling, unrolling.broken(prop)), machine)
            if answer == z3.unknown:
                return Searched(steps - 1, machine, gave_up=True)
            if unrolling.ask() != z3.unsat or everybody is None:
                break
            if agents >= everybody:
                witness = run_of_length(machine, steps - 1, ceiling)
                return Searched(steps - 1, machine, witness, gave_up=witness is None)
            # No run of these agents is as long as this. With more agents there may be one.
            agents = min(everybody, 2 * agents)
            machine = machine_for(agents)
            unrolling = rebuilt(steps)
    return Searched(max_steps, machine)


def run_of_length(machine: Machine, steps: int, ceiling: Ceiling | None) -> Schedule | None:
    """Return a run of so many steps, asserting nothing but the machine; None where none was found."""
    unrolling = Unrolling(machine, Work(SEARCH, ceiling))
    for _ in range(steps):
        unrolling.extend()
    return unrolling.schedule(unrolling.solver.model()) if unrolling.ask() == z3.sat else None


def _smallest(unrolling: Unrolling, goal: Term) -> Schedule:
    """Return the counterexample of this length with fewest agents, then smallest amounts; the last query found one.

    Bisection with a plain solver: ``Optimize`` times out where this takes tenths of a second.
    """
    model = unrolling.solver.model()
    unrolling.work.left = max(unrolling.work.left, SHRINK)
    final = unrolling.states[-1]
    moved = z3.Sum([z3.If(truth(negation(r.at == 0)), z3.IntVal(1), z3.IntVal(0)) for r in final.running])
    amounts: list[Term] = [moved]
    if not isinstance(unrolling.cap, int):
        amounts.append(unrolling.cap)
    used = _chosen_amounts(unrolling)
    if used:
        amounts.append(z3.Sum(used))
    amounts.append(unrolling.overshoot())
    fixed = [goal]
    for amount in amounts:
        model = _lower(unrolling, fixed, integer(amount), model)
    return unrolling.schedule(_first_in_order(unrolling, fixed, model))


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


def _first_in_order(unrolling: Unrolling, fixed: list[Term], model: Model) -> Model:
    """Return the model whose schedule comes first: at each step the lowest process that leads there.

    Of all the shortest schedules that is the one with the fewest changes of agent at the front, and it is the
    same whichever model the solver happened to find.
    """
    for taken in unrolling.steps:
        chosen = next(t for t in taken if model.holds(t.literal))
        for earlier in taken:
            if earlier is chosen:
                break
            if unrolling.ask(*fixed, earlier.literal) == z3.sat:
                model = unrolling.solver.model()
                chosen = earlier
                break
        fixed.append(chosen.literal)
    for taken in unrolling.steps:
        chosen = next(t for t in taken if model.holds(t.literal))
        for amount in chosen.draws:
            model = _lower(unrolling, fixed, integer(amount), model)
    return model


def _lower(unrolling: Unrolling, fixed: list[Term], amount: Term, model: Model) -> Model:
    """Return a model in which ``amount`` is smallest, and keep it there: ``fixed`` grows by its value."""
    low, high = 0, value_of(model, amount)
    while low < high:
        middle = (low + high) // 2
        answer = unrolling.ask(*fixed, amount <= middle)
        if answer == z3.unknown:
            break
        if answer == z3.sat:
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
    ceiling: Ceiling | None = None,
    further: int = 2,
) -> tuple[int, Schedule] | None:
    """Return the largest overshoot above ``least`` of runs of ``steps`` to ``steps + further`` steps.

    Doubling and bisection with a plain solver; None where the work was not enough to find such a run.
    """
    unrolling = Unrolling(machine, Work(OVERSHOOT, ceiling), lemma=lemma, cap=cap)
    best: tuple[int, Schedule] | None = None
    known = least
    for length in range(1, steps + further + 1):
        if unrolling.work.left <= 0:
            return best
        unrolling.extend()
        if length < steps:
            continue
        # Ask for all that the proof leaves room for first: where it is attained, that is one query.
        step = 1 if most is None else most - known
        while most is None or known < most:
            target = known + step if most is None else min(known + step, most)
            if unrolling.ask(unrolling.overshoot() >= target) == z3.sat:
                model = unrolling.solver.model()
                known = value_of(model, unrolling.overshoot())
                best = (known, unrolling.schedule(model))
                step *= 2
            elif step > 1:
                step = 1
            else:
                break
    return best
