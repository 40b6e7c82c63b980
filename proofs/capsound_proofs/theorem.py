"""What a theorem is: a statement, its obligations in z3, and the runs that show what it refutes.

A theorem is accepted when every obligation comes out as wanted from two solvers, every witness is replayed by the
monitor with exactly the anomalies and figures that it claims, and every computation agrees. What is ``proved``
wants its obligations unsatisfiable; what is ``refuted`` wants a model, which is turned into events.

To see that an obligation is not accepted for nothing, it can be mutated: drop one thing that it assumes, change one
update of a transition, or assume what would cure a refutation. The result must then be another (``mutants``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import z3

from capsound.errors import Disagreement
from capsound.events import EVENT_TYPES, Event
from capsound.monitor import Report, fold
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_proofs.second import decide as decide_again
from capsound_proofs.second import smt_text
from capsound_proofs.terms import Term, truth, value_of
from capsound_proofs.work import Model, Work

WORK = 10_000_000
"""How much work z3 may do for one obligation (``capsound_proofs.work``)."""

Values = Callable[[Term], int]
"""What a term is in the model that the solver found."""


class Kind(StrEnum):
    """Whether a theorem says that something holds always, that something fails, or one of each."""

    PROVED = "proved"
    REFUTED = "refuted"
    BOTH = "proved and refuted"


class Answer(StrEnum):
    """What a solver says of an obligation."""

    UNSAT = "unsat"
    SAT = "sat"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """A formula with a name, so that it can be left out by name."""

    name: str
    term: Term


def run(*rows: tuple[Any, ...]) -> tuple[Event, ...]:
    """Return events from rows of a kind and its fields in order, such as ``("open", "root", 60)``."""
    return tuple(EVENT_TYPES[row[0]](*row[1:]) for row in rows)


@dataclass(frozen=True, slots=True)
class Witness:
    """A run that shows something: the monitor must name exactly these anomalies and figures.

    ``overshoot`` and ``deficits`` are those of the report, by root; ``breaks`` and ``keeps`` are properties whose
    verdict must be violated, or must not be.
    """

    name: str
    events: tuple[Event, ...]
    anomalies: tuple[str, ...] = ()
    overshoot: Mapping[str, int] | None = None
    deficits: Mapping[str, int] | None = None
    breaks: tuple[Property, ...] = ()
    keeps: tuple[Property, ...] = ()

    def complaints(self) -> tuple[str, ...]:
        """Replay the run; return in words what the monitor says otherwise, nothing if it agrees."""
        return tuple(self._compare(fold(self.events)))

    def _compare(self, report: Report) -> Iterator[str]:
        if report.anomalies() != self.anomalies:
            yield f"anomalies: claimed {self.anomalies}, seen {report.anomalies()}"
        for what, claimed, seen in (
            ("overshoot", self.overshoot, report.overshoot),
            ("deficits", self.deficits, report.deficits),
        ):
            if claimed is not None and dict(claimed) != dict(seen):
                yield f"{what}: claimed {dict(claimed)}, seen {dict(seen)}"
        for prop in self.breaks:
            if report.verdicts[prop] is not Verdict.VIOLATED:
                yield f"{prop.value} is {report.verdicts[prop].value}, claimed violated"
        for prop in self.keeps:
            if report.verdicts[prop] is Verdict.VIOLATED:
                yield f"{prop.value} is violated, claimed kept"


@dataclass(frozen=True, slots=True)
class Computation:
    """A part that is computed and not solved, such as a search through all of Unicode.

    ``run`` returns nothing when the result is as claimed, else what is wrong in words.
    """

    name: str
    run: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Obligation:
    """``facts`` imply ``claim``; or, where ``wanted`` is SAT, ``facts`` are possible together.

    ``logic`` is the SMT-LIB logic of the text. ``shown`` turns the model of a possible one into a run that the
    monitor replays. ``cures`` are facts each of which would make a possible one impossible.
    """

    name: str
    facts: tuple[Fact, ...]
    claim: Term = False
    wanted: Answer = Answer.UNSAT
    logic: str = "QF_LIA"
    shown: Callable[[Values], Witness] | None = None
    cures: tuple[Fact, ...] = ()

    def terms(self) -> list[Term]:
        """Return the terms whose conjunction is given to the solvers."""
        return [truth(fact.term) for fact in self.facts] + [z3.Not(truth(self.claim))]

    def smt2(self) -> str:
        """Return the obligation as SMT-LIB 2 text, with what is wanted of it on its first line."""
        text = smt_text(self.terms()).replace("(set-logic QF_LIA)", f"(set-logic {self.logic})", 1)
        return f"; {self.name}: {self.wanted.value} is wanted\n{text}\n"

    def without(self, name: str) -> Obligation:
        """Return the obligation without the facts of that name."""
        return replace(self, facts=tuple(f for f in self.facts if f.name != name))


@dataclass(frozen=True, slots=True)
class Mutant:
    """A theorem with one thing changed: ``obligations`` are those that the change touches."""

    name: str
    obligations: tuple[Obligation, ...]


@dataclass(frozen=True)
class Theorem:
    """A statement about the model, and all that has to come out for it to be accepted.

    ``mathematics`` is the statement in symbols; ``assumptions`` are ids of docs/assumptions.md or words; ``bound``
    says for what it holds; ``idea`` is the proof or the witness in a few sentences.

    ``systems`` are proved by induction; ``build`` makes all other obligations. ``altered`` makes mutants beside the
    automatic ones. ``equivalent`` gives, for mutants that are accepted for good reason, a pattern of their names
    (``fnmatch``) and the reason.
    """

    number: int
    name: str
    kind: Kind
    statement: str
    mathematics: str
    assumptions: tuple[str, ...]
    bound: str
    idea: str
    build: Callable[[], tuple[Obligation, ...]] = tuple
    systems: Callable[[], tuple[System, ...]] = tuple
    witnesses: Callable[[], tuple[Witness, ...]] = tuple
    computations: tuple[Computation, ...] = ()
    altered: Callable[[], tuple[Mutant, ...]] = tuple
    equivalent: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def obligations(self) -> tuple[Obligation, ...]:
        """All obligations, built once: those of the systems first."""
        return (*(o for system in self.systems() for o in system.obligations()), *self.build())


# ---------------------------------------------------------------------------------------------- deciding


@dataclass(frozen=True, slots=True)
class Decision:
    """What both solvers say of one obligation; ``second`` is None where cvc5 was not asked."""

    obligation: Obligation
    first: Answer
    second: Answer | None
    witness: Witness | None = None

    @property
    def wanted(self) -> bool:
        """Whether it came out as wanted."""
        return self.first is self.obligation.wanted and self.second in (None, self.obligation.wanted)

    @property
    def undecided(self) -> bool:
        """Whether a solver that was asked gave no answer."""
        return Answer.UNKNOWN in (self.first, self.second)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one theorem. ``complaints`` says in words what did not come out."""

    theorem: Theorem
    decisions: tuple[Decision, ...]
    replayed: tuple[Witness, ...]
    complaints: tuple[str, ...]
    seconds: float

    @property
    def undecided(self) -> bool:
        """Whether the theorem is open: nothing speaks against it, and some obligation was not decided."""
        return not self.complaints and any(d.undecided for d in self.decisions)

    @property
    def accepted(self) -> bool:
        """Whether the theorem came out as stated."""
        return not self.complaints and not self.undecided


def solve_first(obligation: Obligation) -> tuple[Answer, Model | None]:
    """Return what z3 says of an obligation, and its model if there is one."""
    solver = Work(WORK).solver(obligation.logic)
    solver.add(*obligation.terms())
    answer = Answer(str(solver.check()))
    return answer, solver.model() if answer is Answer.SAT else None


def decide(obligation: Obligation, *, second: bool = True) -> Decision:
    """Decide an obligation with z3, and again with cvc5 from its text.

    Raises ``Disagreement`` when one solver says sat and the other unsat.
    """
    first, model = solve_first(obligation)
    # What cvc5 prints is an answer or "unknown (RESOURCEOUT)".
    again = Answer(decide_again(obligation.smt2()).split()[0]) if second else None
    if again is not None and {first, again} == {Answer.SAT, Answer.UNSAT}:
        raise Disagreement(
            f"z3 says {first.value} of the obligation {obligation.name!r}, and cvc5 says {again.value}",
            cause="the two solvers disagree, so the theorem is not shown",
            hint="write it with --smt2 and report it: one of the solvers, or the text, is wrong",
        )
    shown = None
    if model is not None and obligation.shown is not None:
        shown = obligation.shown(lambda term: value_of(model, term))
    return Decision(obligation, first, again, shown)


def prove(theorem: Theorem, *, second: bool = True) -> Result:
    """Decide all obligations of a theorem, replay its witnesses, and run its computations.

    Raises ``Disagreement`` when the solvers contradict each other.
    """
    began = time.monotonic()
    decisions = tuple(decide(o, second=second) for o in theorem.obligations)
    runs = (*(d.witness for d in decisions if d.witness is not None), *theorem.witnesses())
    complaints = [
        f"{d.obligation.name}: {d.first.value}, where {d.obligation.wanted.value} is wanted"
        for d in decisions
        if not d.wanted and not d.undecided
    ]
    complaints += [f"{o.name}: what it assumes is impossible" for o in theorem.obligations if _is_empty(o)]
    complaints += [f"{run.name}: {complaint}" for run in runs for complaint in run.complaints()]
    for computation in theorem.computations:
        if wrong := computation.run():
            complaints.append(f"{computation.name}: {wrong}")
    return Result(theorem, decisions, runs, tuple(complaints), time.monotonic() - began)


def _is_empty(obligation: Obligation) -> bool:
    """Return whether an implication holds only because its facts contradict each other."""
    if obligation.wanted is Answer.SAT or obligation.claim is False:
        return False
    bare = replace(obligation, claim=False, wanted=Answer.SAT)
    return solve_first(bare)[0] is Answer.UNSAT


# ---------------------------------------------------------------------------------- transition systems


@dataclass(frozen=True, slots=True)
class Transition:
    """One step: possible where all of ``guard`` holds; ``after`` gives the variables that it changes."""

    name: str
    guard: tuple[Fact, ...]
    after: Mapping[str, Term]

    @property
    def forbidden(self) -> bool:
        """Whether the guard never holds: the step is listed for what happens without its guard."""
        return any(_never(fact) for fact in self.guard)


@dataclass(frozen=True, slots=True)
class System:
    """A transition system over named integers, with an invariant to be proved and what follows from it.

    ``always`` holds of every state by construction (signs of amounts, and the like): it is assumed, never proved.
    ``codes`` are variables that stand for names and not for amounts: one more of them means nothing. ``logic`` is
    that of all its obligations.
    """

    variables: Mapping[str, Term]
    start: tuple[Fact, ...]
    transitions: tuple[Transition, ...]
    invariant: tuple[Fact, ...]
    goal: tuple[Fact, ...] = ()
    always: tuple[Fact, ...] = ()
    codes: tuple[str, ...] = ()
    logic: str = "QF_LIA"

    def after(self, formula: Term, transition: Transition) -> Term:
        """Return what ``formula`` says of the state after a transition."""
        pairs = [
            (self.variables[name], z3.IntVal(value) if isinstance(value, int) else value)
            for name, value in transition.after.items()
        ]
        return z3.substitute(truth(formula), *pairs)

    def step(self, transition: Transition) -> Obligation:
        """Return the obligation that a transition keeps the invariant."""
        claim = z3.And(*[self.after(fact.term, transition) for fact in self.invariant], z3.BoolVal(True))
        facts = (*self.always, *self.invariant, *transition.guard)
        return Obligation(f"{transition.name} keeps the invariant", facts, claim, logic=self.logic)

    def obligations(self) -> tuple[Obligation, ...]:
        """Return the inductive proof: start, every step, conclusion; and that none of it is empty."""
        whole = z3.And(*[truth(fact.term) for fact in self.invariant], z3.BoolVal(True))
        logic = self.logic
        out = [
            Obligation("a start exists", (*self.always, *self.start), wanted=Answer.SAT, logic=logic),
            Obligation("the invariant holds at the start", (*self.always, *self.start), whole, logic=logic),
        ]
        for transition in self.transitions:
            if transition.forbidden:
                continue
            facts = (*self.always, *self.invariant, *transition.guard)
            out.append(Obligation(f"{transition.name} is possible", facts, wanted=Answer.SAT, logic=logic))
            out.append(self.step(transition))
        known = (*self.always, *self.invariant)
        out += [Obligation(f"so {fact.name}", known, fact.term, logic=logic) for fact in self.goal]
        return tuple(out)

    def mutants(self) -> Iterator[Mutant]:
        """Yield every transition with one guard dropped, one update forgotten, or one update one too large.

        A step that changes nothing is left alone; so is the rest of a step that one guard forbids.
        """
        for t in self.transitions:
            guards = [f for f in t.guard if _never(f)] if t.forbidden else t.guard
            for name in dict.fromkeys(fact.name for fact in guards if t.after):
                changed = replace(t, guard=tuple(f for f in t.guard if f.name != name))
                yield Mutant(f"{t.name}, without: {name}", (self.step(changed),))
            for name, value in t.after.items() if not t.forbidden else ():
                rest = {k: v for k, v in t.after.items() if k != name}
                yield Mutant(f"{t.name}, {name} not updated", (self.step(replace(t, after=rest)),))
                if name not in self.codes:
                    more = {**t.after, name: value + 1}
                    yield Mutant(f"{t.name}, {name} one more", (self.step(replace(t, after=more)),))


def _never(fact: Fact) -> bool:
    return bool(z3.is_false(z3.simplify(truth(fact.term))))


# ------------------------------------------------------------------------------------------- mutations


def mutants(theorem: Theorem) -> Iterator[Mutant]:
    """Yield the mutants of a theorem's systems, of its other obligations, and its own.

    An obligation that is wanted unsatisfiable loses each of its facts in turn; a possible one gains each of its
    cures. What a system's step assumes of the state is not dropped: a step that needs less than the invariant is
    no weaker for it.
    """
    for system in theorem.systems():
        yield from system.mutants()
    for obligation in theorem.build():
        if obligation.wanted is Answer.SAT:
            for cure in obligation.cures:
                cured = replace(obligation, facts=(*obligation.facts, cure))
                yield Mutant(f"{obligation.name}, with: {cure.name}", (cured,))
        else:
            for name in dict.fromkeys(fact.name for fact in obligation.facts):
                yield Mutant(f"{obligation.name}, without: {name}", (obligation.without(name),))
    yield from theorem.altered()


def noticed(mutant: Mutant) -> bool:
    """Return whether some obligation of a mutant no longer comes out as wanted (z3 alone)."""
    return any(solve_first(o)[0] is not o.wanted for o in mutant.obligations)


def excused(theorem: Theorem, mutant: Mutant) -> str:
    """Return why it is right that a mutant is accepted, nothing where no reason is given."""
    return next((why for pattern, why in theorem.equivalent.items() if fnmatchcase(mutant.name, pattern)), "")
