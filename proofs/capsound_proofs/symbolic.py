"""The model's own code, run on symbolic amounts: the transition relation of the theorems is ``capsound.accounts``.

``move`` and ``breaches`` are written for whole numbers. Here they are given ``Amount``, which adds and compares like
a number and writes down a z3 term. Where the code asks which of two amounts is larger, it is run once for each
answer that is possible (King, Symbolic execution and program testing, CACM 1976). So what is proved is proved of
the function that the monitor runs, not of a second copy of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import z3

from capsound.accounts import State, breaches, move
from capsound.events import Event
from capsound_proofs.terms import Term, integer

T = TypeVar("T")


@dataclass(slots=True)
class Choices:
    """The answers given so far on one way through the code; the solver knows what they assume."""

    solver: z3.Solver
    script: list[bool] = field(default_factory=list)
    taken: list[bool] = field(default_factory=list)
    path: list[tuple[Term, bool]] = field(default_factory=list)
    open_: list[list[bool]] = field(default_factory=list)

    def ask(self, condition: Term) -> bool:
        """Answer a question of the code: as scripted, else with the first answer that is possible."""
        simple = z3.simplify(condition)
        if z3.is_true(simple) or z3.is_false(simple):
            return bool(z3.is_true(simple))
        if len(self.taken) < len(self.script):
            answer = self.script[len(self.taken)]
        else:
            answer = self._possible(condition)
            if answer and self._possible(z3.Not(condition)):
                self.open_.append([*self.taken, False])
        self.taken.append(answer)
        self.path.append((condition, answer))
        self.solver.add(condition if answer else z3.Not(condition))
        return answer

    def _possible(self, condition: Term) -> bool:
        self.solver.push()
        self.solver.add(condition)
        answer = self.solver.check()
        self.solver.pop()
        return bool(answer != z3.unsat)


class Truth:
    """The answer to a comparison of amounts, decided only when the code branches on it."""

    __slots__ = ("choices", "term")

    def __init__(self, term: Term, choices: Choices) -> None:
        self.term = term
        self.choices = choices

    def __bool__(self) -> bool:
        return self.choices.ask(self.term)


class Amount:
    """A whole number that is not known: it adds, scales and compares like one."""

    __slots__ = ("choices", "term")

    def __init__(self, term: Term, choices: Choices) -> None:
        self.term = term
        self.choices = choices

    def _make(self, term: Term) -> Amount:
        return Amount(term, self.choices)

    def __add__(self, other: Any) -> Amount:
        return self._make(self.term + term_of(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Amount:
        return self._make(self.term - term_of(other))

    def __rsub__(self, other: Any) -> Amount:
        return self._make(term_of(other) - self.term)

    def __neg__(self) -> Amount:
        return self._make(-self.term)

    def __mul__(self, by: int) -> Amount:
        return self._make(self.term * by)

    __rmul__ = __mul__

    def __lt__(self, other: Any) -> Truth:
        return Truth(self.term < term_of(other), self.choices)

    def __le__(self, other: Any) -> Truth:
        return Truth(self.term <= term_of(other), self.choices)

    def __gt__(self, other: Any) -> Truth:
        return Truth(self.term > term_of(other), self.choices)

    def __ge__(self, other: Any) -> Truth:
        return Truth(self.term >= term_of(other), self.choices)

    def __eq__(self, other: object) -> Any:
        return Truth(self.term == term_of(other), self.choices)

    def __ne__(self, other: object) -> Any:
        return Truth(self.term != term_of(other), self.choices)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return self.choices.ask(self.term != 0)


def term_of(value: Any) -> Term:
    """Return the term of an amount or of a plain number."""
    return value.term if isinstance(value, Amount) else integer(value)


@dataclass(frozen=True, slots=True)
class Way(Generic[T]):
    """One way through the code: what was asked and answered on it, in order, and what came out."""

    path: tuple[tuple[Term, bool], ...]
    value: T


def ways(code: Callable[[Choices], T], given: Sequence[Term] = ()) -> Iterator[Way[T]]:
    """Run ``code`` once for every way that is possible through it, given facts about its amounts.

    Two ways part at a question that both asked; for any amounts that are possible, one of them is taken.
    """
    solver = z3.SimpleSolver()
    solver.add(*given)
    waiting: list[list[bool]] = [[]]
    while waiting:
        solver.push()
        choices = Choices(solver, script=waiting.pop())
        value = code(choices)
        waiting.extend(choices.open_)
        solver.pop()
        yield Way(tuple(choices.path), value)


def merged(found: Sequence[Way[Mapping[str, Term]]]) -> dict[str, Term]:
    """Return one term for each name: what it is on the way that is taken."""
    return {name: _choose([(w.path, w.value[name]) for w in found]) for name in found[0].value}


def _choose(found: Sequence[tuple[tuple[tuple[Term, bool], ...], Term]]) -> Term:
    """Return the value on the way that is taken; a question is only kept where the answer matters."""
    path, value = found[0]
    if len(found) == 1:
        return value
    sides = [[(p[1:], v) for p, v in found if p[0][1] is answer] for answer in (True, False)]
    if not all(sides):
        return _choose(sides[0] or sides[1])
    then, other = _choose(sides[0]), _choose(sides[1])
    return then if then.eq(other) else z3.If(path[0][0], then, other)


def _terms(values: Mapping[str, Any]) -> Mapping[str, Term]:
    return {name: term_of(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Effect:
    """What one event does: ``broken`` says of every rule when the event breaks it; ``after`` is what was read."""

    broken: Mapping[str, Term]
    after: Mapping[str, Term]


def effect(
    state: Callable[[Choices], State],
    event: Callable[[Choices], Event],
    read: Callable[[State], Mapping[str, Any]],
    given: Sequence[Term] = (),
) -> Effect:
    """Run ``breaches`` and ``move`` of the model on symbolic amounts, and read the state after the event."""
    judged = list(ways(lambda c: {b.rule.id for b in breaches(state(c), event(c))}, given))
    moved = list(ways(lambda c: _terms(read(move(state(c), event(c)))), given))
    rules = sorted({rule for way in judged for rule in way.value}, key=lambda rule: int(rule[1:]))
    broken = {
        rule: z3.simplify(_choose([(way.path, z3.BoolVal(rule in way.value)) for way in judged])) for rule in rules
    }
    return Effect(broken, {name: z3.simplify(term) for name, term in merged(moved).items()})


def story(
    events: Callable[[Choices], Sequence[Event]],
    read: Callable[[State], Mapping[str, Any]],
    given: Sequence[Term] = (),
) -> Effect:
    """Run a whole sequence of events from nothing; ``broken`` says of every rule when some event breaks it."""

    def told(choices: Choices) -> tuple[set[str], Mapping[str, Term]]:
        state, broken = State(), set[str]()
        for event in events(choices):
            broken |= {breach.rule.id for breach in breaches(state, event)}
            state = move(state, event)
        return broken, _terms(read(state))

    found = list(ways(told, given))
    rules = sorted({rule for way in found for rule in way.value[0]}, key=lambda rule: int(rule[1:]))
    broken = {
        rule: z3.simplify(_choose([(way.path, z3.BoolVal(rule in way.value[0])) for way in found])) for rule in rules
    }
    after = merged([Way(way.path, way.value[1]) for way in found])
    return Effect(broken, {name: z3.simplify(term) for name, term in after.items()})
