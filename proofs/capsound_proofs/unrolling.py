"""The runs of a machine as terms: one unrolling per machine, one more step at a time, with every amount symbolic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import z3

from capsound.errors import Disagreement
from capsound.machine import Branch, Config, Env, Machine, fire, initial, thaw
from capsound.predicates import overshoot
from capsound.properties import Property
from capsound.schedule import INTS, Choice, Schedule, settled
from capsound_proofs.building import all_of, any_of, as_truth, implies, named, proposition, put
from capsound_proofs.relation import Lemma, Relation, soonest
from capsound_proofs.terms import TERMS, Term, integer, truth, value_of
from capsound_proofs.work import Model, Work

BRANCH = 500
"""The work that it counts for to encode one branch of one step: about what z3 counts in the same time."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One branch at one step: the literal that selects it, and the draws it uses."""

    branch: Branch
    literal: Term
    draws: tuple[Term, ...]


class Unrolling:
    """The runs of a machine of at most so many steps, as constraints in one solver."""

    def __init__(
        self,
        machine: Machine,
        work: Work,
        *,
        lemma: Lemma | None = None,
        cap: int | None = None,
        relation: Relation | None = None,
        bare: bool = False,
    ) -> None:
        """Begin with no step. ``relation`` has the lemma in it, if there is one; ``bare`` asserts none of it."""
        self.machine = machine
        self.bare = bare
        self.work = work
        self.solver = work.solver()
        self.cap: Term = cap_of(machine) if cap is None else cap
        if not isinstance(self.cap, int):
            self.solver.add(self.cap >= machine.cap.lo)
            if machine.cap.hi is not None:
                self.solver.add(self.cap <= machine.cap.hi)
        self.relation = relation or Relation(machine, self.cap, lemma)
        self.values: list[tuple[Term, ...]] = [self.relation.first]
        self.steps: list[list[Taken]] = []
        self.soonest = soonest(machine)
        self._assert_lemma()

    @property
    def states(self) -> list[Config]:
        """The states after each step, the first included."""
        return [thaw(self.machine, values) for values in self.values]

    @property
    def last(self) -> Config:
        """The state after the last step."""
        return thaw(self.machine, self.values[-1])

    def _here(self) -> list[tuple[Term, Term]]:
        """Return what stands for any state, and what it is after the last step."""
        fixed = self.relation.fixed
        return [
            (variable, integer(value))
            for position, (variable, value) in enumerate(zip(self.relation.now, self.values[-1], strict=True))
            if position not in fixed
        ]

    def _assert_lemma(self) -> None:
        if self.relation.lemma is not None and not self.bare:
            self.solver.add(z3.simplify(put(self.relation.lemma, self._here())))

    def extend(self) -> None:
        """Add one more step."""
        number = len(self.steps)
        values = self.values[-1]
        ways = [
            way
            for way in self.relation.ways
            if self.soonest[way.branch.process, way.branch.place] <= number and self._can_be_there(way.branch, values)
        ]
        literals = {
            id(way): proposition(f"step{number}:{way.branch.process}.{way.branch.place}.{way.branch.kind}")
            for way in ways
        }
        pairs = self._here() + [(way.literal, literals[id(way)]) for way in ways]
        amounts = [(amount, named(f"{amount}@{number}")) for amount in self.relation.draws.pool]
        pairs += amounts
        changed = sorted({position for way in ways for position in way.changes})
        fresh = {position: named(f"v{position}@{number + 1}") for position in changed}
        terms = [implies(way.literal, truth(way.guard)) for way in ways]
        terms += [any_of(*[way.literal for way in ways]) if ways else as_truth(False)]
        terms += [fresh[position] == self.relation.joined(position, ways) for position in changed]
        self.solver.add(z3.simplify(put(all_of(*terms), pairs)))
        if len(ways) > 1:
            self.solver.add(z3.AtMost(*literals.values(), 1))
        self.work.spend(BRANCH * len(ways))
        there = {amount.get_id(): mine for amount, mine in amounts}
        self.steps.append(
            [Taken(way.branch, literals[id(way)], tuple(_at(d, there, pairs) for d in way.draws)) for way in ways]
        )
        self.values.append(tuple(fresh.get(position, value) for position, value in enumerate(values)))
        self._assert_lemma()

    def _can_be_there(self, branch: Branch, values: tuple[Term, ...]) -> bool:
        """Return whether the process may be at the place of a branch: it is elsewhere only where that is known."""
        at = values[self.relation.at[branch.process]]
        return not isinstance(at, int) or at == branch.place

    # ------------------------------------------------------------------------------------------ asking

    def broken(self, prop: Property) -> Term:
        """Return the term that says the property is broken after the last step."""
        return put(self.relation.broken(prop), self._here())

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
            expected = tuple(value_of(model, term) for term in self.values[number + 1])
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
        return integer(overshoot(self.machine, self.last, TERMS))


def cap_of(machine: Machine) -> Term:
    """Return the cap of a machine, symbolic where it is not fixed."""
    return machine.cap.lo if machine.cap.fixed else named("cap")


def _at(amount: Term, there: dict[int, Term], pairs: list[tuple[Term, Term]]) -> Term:
    """Return an amount of a branch as it is at a step."""
    if isinstance(amount, int):
        return amount
    mine = there.get(amount.get_id())
    return put(amount, pairs) if mine is None else mine
