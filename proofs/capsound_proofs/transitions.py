"""Transition systems over integers: variables, a start, axioms that always hold, and guarded steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import z3

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
        variable = z3.Int(name)
        self.variables[name] = variable
        if start is not None:
            self.start.append(variable == start)
        return variable

    def after(self, formula: Term, transition: Transition) -> Term:
        """Return what ``formula`` says of the state after a transition."""
        return z3.substitute(truth(formula), *self._changed(transition))

    def after_all(self, formulas: list[Term], transition: Transition) -> list[Term]:
        """Return what each of ``formulas`` says of the state after a transition, in one substitution."""
        together = z3.And(*[truth(f) for f in formulas], z3.BoolVal(True))
        return list(z3.substitute(together, *self._changed(transition)).children())[:-1]

    def axioms_after(self, transition: Transition) -> list[Term]:
        """Return the axioms about the state after a transition; those that it does not touch are left out."""
        if transition.name not in self._later:
            pairs = zip(self.axioms, self.after_all(self.axioms, transition), strict=True)
            self._later[transition.name] = [later for axiom, later in pairs if not later.eq(truth(axiom))]
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
