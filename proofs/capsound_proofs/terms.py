"""z3 terms as numbers of the model: linear integers, never bit-vectors.

Why: the inductive step of the reference ledger takes 5 ms in linear integer arithmetic and times out at 60 s
in 16-bit vectors, in three solvers (docs/measurements.md). Machine widths are a property, not a sort.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import z3

from capsound_proofs.building import all_of, any_of, as_truth, choice, constant, named, no

Term = Any
"""A z3 term, or a Python constant: the model folds constants by itself."""


def ints(names: str) -> list[Term]:
    """Return integer variables."""
    return [named(name) for name in names.split()]


def reals(names: str) -> list[Term]:
    """Return real variables."""
    return list(z3.Reals(names))


class TermAlgebra:
    """What integers and z3 terms do not write alike, for z3 terms; constants stay constants."""

    def ite(self, condition: Term, then: Term, otherwise: Term) -> Term:
        """Return ``then`` where the condition holds."""
        if isinstance(condition, bool):
            return then if condition else otherwise
        if isinstance(then, int) and isinstance(otherwise, int) and then == otherwise:
            return then
        return choice(condition, integer(then), integer(otherwise))

    def both(self, left: Term, right: Term) -> Term:
        """Return the conjunction."""
        return conj([left, right])

    def either(self, left: Term, right: Term) -> Term:
        """Return the disjunction."""
        return disj([left, right])

    def negate(self, condition: Term) -> Term:
        """Return the negation."""
        return negation(condition)

    def floordiv(self, value: Term, by: int) -> Term:
        """Return the quotient by a positive constant, rounded down (z3's integer division)."""
        if by == 1:
            return value
        if isinstance(value, int):
            return value // by
        return value / constant(by)


TERMS = TermAlgebra()


def integer(value: Term) -> Term:
    """Return a z3 integer term for a constant or a term."""
    return constant(value) if isinstance(value, int) else value


def truth(value: Term) -> Term:
    """Return a z3 Boolean term for a constant or a term."""
    return as_truth(value) if isinstance(value, bool) else value


def conj(terms: list[Term]) -> Term:
    """Return the conjunction, folding constants."""
    rest = [t for t in terms if t is not True]
    if any(t is False for t in rest):
        return False
    if not rest:
        return True
    return rest[0] if len(rest) == 1 else all_of(*rest)


def disj(terms: list[Term]) -> Term:
    """Return the disjunction, folding constants."""
    rest = [t for t in terms if t is not False]
    if any(t is True for t in rest):
        return True
    if not rest:
        return False
    return rest[0] if len(rest) == 1 else any_of(*rest)


def negation(term: Term) -> Term:
    """Return the negation, folding constants."""
    return (not term) if isinstance(term, bool) else no(term)


def same(left: Term, right: Term) -> bool:
    """Return whether two values are the same constant or the very same term (not whether they are equal)."""
    if isinstance(left, int) or isinstance(right, int):
        return isinstance(left, int) and isinstance(right, int) and left == right
    return bool(left.eq(right))


def value_of(model: Any, term: Term) -> int:
    """Return what ``term`` is in a model; unconstrained terms are zero."""
    if isinstance(term, int):
        return term
    found = model.eval(term, model_completion=True)
    return int(found.as_long())


def largest(possible: Callable[[int], bool], low: int) -> int:
    """Return the largest number for which ``possible`` holds, at least ``low``, by doubling and bisection."""
    step = 1
    while possible(low + step):
        low += step
        step *= 2
    high = low + step
    while low + 1 < high:
        middle = (low + high) // 2
        if possible(middle):
            low = middle
        else:
            high = middle
    return low
