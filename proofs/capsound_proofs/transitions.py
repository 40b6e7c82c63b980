"""Transition systems over integers: variables, a start, axioms that always hold, and guarded steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import z3

from capsound_proofs.building import all_of, changed_parts, named, put
from capsound_proofs.terms import Term, integer, truth


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of the abstraction: possible where ``guard`` holds, then ``after`` gives every variable."""

    name: str
    guard: Term
    after: dict[str, Term]


@dataclass(slots=True)
class System:
    """A transition system over integers: variables, initial state, axioms that always hold, and steps."""

    variables: dict[str, Term] = field(default_factory=dict)
    start: list[Term] = field(default_factory=list)
    axioms: list[Term] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    _pairs: dict[str, list[tuple[Term, Term]]] = field(default_factory=dict)
    _later: dict[str, list[Term]] = field(default_factory=dict)

    def add(self, name: str, start: Term | None) -> Term:
        """Add a variable; ``start`` is its initial value, None for any."""
        variable = named(name)
        self.variables[name] = variable
        if start is not None:
            self.start.append(variable == start)
        return variable

    def assume(self, facts: Iterable[Term]) -> None:
        """Add axioms: what holds of every state by construction."""
        self.axioms.extend(facts)
        self._later.clear()

    def after(self, formula: Term, transition: Transition) -> Term:
        """Return what ``formula`` says of the state after a transition."""
        return put(truth(formula), self._changed(transition))

    def touched(self, formulas: Sequence[Term], transition: Transition) -> dict[int, Term]:
        """Return what those of ``formulas`` that a transition touches say of the state after it, by their place."""
        together = all_of(*formulas)
        return changed_parts(together, put(together, self._changed(transition)), len(formulas))

    def axioms_after(self, transition: Transition) -> list[Term]:
        """Return the axioms about the state after a transition; those that it does not touch are left out."""
        if transition.name not in self._later:
            self._later[transition.name] = list(self.touched(self.axioms, transition).values())
        return self._later[transition.name]

    def _changed(self, transition: Transition) -> list[tuple[Term, Term]]:
        if transition.name not in self._pairs:
            self._pairs[transition.name] = [
                (self.variables[name], integer(value))
                for name, value in transition.after.items()
                if not (z3.is_expr(value) and value.eq(self.variables[name]))
            ]
        return self._pairs[transition.name]

    def step(self, name: str, guard: Term, after: dict[str, Term]) -> None:
        """Add a transition; each is numbered, so that its name is its own."""
        self.transitions.append(Transition(f"{len(self.transitions)} {name}", truth(guard), after))
