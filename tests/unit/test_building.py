"""Terms that are built without the binding are the terms that the binding builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import z3

from capsound_proofs.building import (
    all_of,
    any_of,
    as_number,
    changed_parts,
    choice,
    constant,
    implies,
    named,
    no,
    proposition,
    put,
)

same: Any = z3.eq
x, y, p = named("x"), named("y"), proposition("p")
a: Any = z3.Int("x")
b: Any = z3.Int("y")
q: Any = z3.Bool("p")

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda u, v: u + v,
    "-": lambda u, v: u - v,
    "*": lambda u, v: u * v,
    "<=": lambda u, v: u <= v,
    "<": lambda u, v: u < v,
    ">=": lambda u, v: u >= v,
    ">": lambda u, v: u > v,
    "==": lambda u, v: u == v,
    "!=": lambda u, v: u != v,
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ((x, y), (a, b)),
        ((x, 3), (a, 3)),
        ((3, x), (3, a)),
        ((x, b), (a, b)),
        ((x, 10**40), (a, 10**40)),
    ],
)
def test_an_operator_builds_what_the_binding_builds(name: str, mine: Any, theirs: Any) -> None:
    made, wanted = OPERATORS[name](*mine), OPERATORS[name](*theirs)
    assert same(made, wanted)
    assert made.sexpr() == wanted.sexpr()


def test_what_is_no_integer_is_left_to_the_binding() -> None:
    real = z3.Real("r")
    assert same(x + real, a + real)
    assert same(real - x, real - a)
    assert same(a - x, a - a)
    assert same(x <= real, a <= real)
    with pytest.raises(z3.Z3Exception):
        as_number(real)


def test_connectives_are_those_of_the_binding() -> None:
    assert same(all_of(x >= 0, p, True), z3.And(a >= 0, q, True))
    assert same(any_of(x >= 0, False), z3.Or(a >= 0, False))
    assert same(no(p), z3.Not(q))
    assert same(implies(p, x == y), z3.Implies(q, a == b))
    assert same(choice(p, x, 0), z3.If(q, a, z3.IntVal(0)))
    assert same(-x, -a)
    assert constant(-7).as_long() == -7
    assert same(named("é"), z3.Int("é"))


def test_terms_are_known_by_what_they_are() -> None:
    assert x.eq(named("x"))
    assert not x.eq(y)
    assert hash(x) == hash(a)
    assert {x: 1}[named("x")] == 1
    with pytest.raises(z3.Z3Exception):
        bool(x < y)


def test_variables_are_replaced_all_at_once() -> None:
    swapped = put(x - y >= 1, [(x, y), (y, x)])
    assert same(swapped, z3.substitute(a - b >= 1, (a, b), (b, a)))
    assert same(put(x + y, []), a + b)


def test_only_parts_that_are_touched_are_told() -> None:
    parts = [x >= 0, y >= 0, x + y <= 3]
    before = all_of(*parts)
    after = changed_parts(before, put(before, [(x, x + 1)]), 3)
    assert sorted(after) == [0, 2]
    assert same(after[0], z3.substitute(a >= 0, (a, a + 1)))


def test_terms_outlive_what_they_were_built_from() -> None:
    def built() -> Any:
        return all_of(*[named(f"z{number}") + number >= number * 7 for number in range(200)])

    kept = [built() for _ in range(20)]
    solver = z3.Solver()
    solver.add(kept[0], z3.Not(kept[-1]))
    assert solver.check() == z3.unsat
