"""Delegation trees of any shape, edge by edge: the model's own ``delegate``, ``close`` and ``merge``.

What a parent has delegated is the grants of its slices, less what they have returned. One slice is looked at; the
others are their sum. Delegating and closing touch one edge. A merge touches every edge on the way from its source
up to the nearest common ancestor and down to its target.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, product

import z3

from capsound.accounts import State
from capsound_proofs.symbolic import Choices, effect
from capsound_proofs.terms import Term
from capsound_proofs.theorem import Fact, System, Transition
from capsound_proofs.theorems.books import (
    BALANCES,
    KEPT,
    NOT_NEGATIVE,
    X,
    account,
    balances,
    books,
    changed,
    conserved,
    event_of,
    of,
    read_balances,
    solvent,
)

EXISTS = z3.Int("slice.exists")
SPENDING = ("held", "charged", "forfeited", "billed")


def edge(parent: str, *children: str, exists: Term = True) -> Fact:
    """Say that what ``parent`` has delegated is what its slices were granted and have not returned."""
    mine = sum(of(c, "granted") - of(c, "returned") for c in children)
    total = (mine if exists is True else z3.If(exists, mine, 0)) + z3.Int(f"{parent}.other-slices")
    return Fact(f"{parent} has delegated what its slices have", of(parent, "delegated") == total)


def untouched(*names: str) -> tuple[Fact, ...]:
    """Say that nothing that was spent or set aside in these accounts changes."""
    same = [of(name, b) == z3.Int(f"{name}.{b}.before") for name in names for b in SPENDING]
    return (Fact("holds and bills stay as they are", z3.And(*same)),)


def orderly(*names: str) -> tuple[Fact, ...]:
    """Say that each account is conserved, not in debt, and has returned nothing negative."""
    out: list[Fact] = []
    for name in names:
        out += [conserved(name), solvent(name), Fact(f"{name} returns", of(name, "returned") >= 0)]
    return tuple(out)


def _nothing(*names: str) -> tuple[Fact, ...]:
    zero = [of(name, b) == 0 for name in names for b in BALANCES]
    more = [z3.Int(f"{name}.{b}.before") == 0 for name in names for b in SPENDING]
    more += [z3.Int(f"{name}.other-slices") == 0 for name in names]
    return (Fact("all is empty", z3.And(*zero, *more)),)


def _delegate(rules: Iterable[str]) -> Transition:
    found = effect(
        lambda c: books([account(c, "p", root="p")]),
        event_of(("delegate", "p", "s", X)),
        read_balances("p", "s"),
    )
    guard = [Fact("the slice is new", EXISTS == 0), NOT_NEGATIVE]
    guard += [Fact(rule, z3.Not(found.broken[rule])) for rule in rules if rule in found.broken]
    return Transition("delegate", tuple(guard), {**changed(found.after), "slice.exists": z3.IntVal(1)})


def _close(rules: Iterable[str]) -> Transition:
    found = effect(
        lambda c: books([account(c, "p", root="p"), account(c, "s", "p", "p")]),
        event_of(("close", "s")),
        read_balances("p", "s"),
    )
    guard = [Fact("the slice exists", EXISTS == 1)]
    guard += [Fact(rule, z3.Not(found.broken[rule])) for rule in rules if rule in found.broken]
    return Transition("close", tuple(guard), changed(found.after))


def slices(rules: Iterable[str] = KEPT) -> System:
    """Return a parent and one of its slices: opened out of what is free, closed when it is done."""
    bare = z3.And(*[of("s", b) == 0 for b in BALANCES])
    return System(
        variables={**balances("p", "s"), "slice.exists": EXISTS},
        start=(*_nothing("p", "s"), Fact("no slice", EXISTS == 0)),
        transitions=(_delegate(rules), _close(rules)),
        invariant=(
            *orderly("p", "s"),
            edge("p", "s", exists=EXISTS == 1),
            *untouched("p", "s"),
            Fact("a slice that does not exist has nothing", z3.Implies(EXISTS == 0, bare)),
            Fact("it exists or it does not", z3.And(EXISTS >= 0, EXISTS <= 1)),
        ),
        codes=("slice.exists",),
    )


def _family(c: Choices, above: list[str], top: str, below: list[str], other: str = "") -> State:
    """Return the accounts on the way of a merge; ``other`` is the root of the target where it has another one."""
    parents = dict(zip(above, [*above[1:], top], strict=False))
    parents |= dict(zip(below, [other or top, *below], strict=False))
    roots = [account(c, root, root=root) for root in (top, other) if root]
    return books([*roots, *(account(c, n, p, other if other and n in below else top) for n, p in parents.items())])


def merge(up: int, down: int, rules: Iterable[str] = KEPT, *, across: bool = False) -> System:
    """Return a merge whose source is ``up`` accounts below the nearest common ancestor, and its target ``down``.

    Where it goes ``across``, there is none: the two are that far below different roots.
    """
    above, top, below = [f"u{i}" for i in range(up)], "k", [f"d{i}" for i in range(down)]
    other = "m" if across else ""
    names = (*above, top, *([other] if other else []), *below)
    source, target = above[0] if above else top, below[-1] if below else other or top
    found = effect(
        lambda c: _family(c, above, top, below, other), event_of(("merge", target, source)), read_balances(*names)
    )
    guard = [Fact(rule, z3.Not(found.broken[rule])) for rule in rules if rule in found.broken]
    edges = [edge(b, a) for a, b in pairwise([*above, top])][: len(above) if across else -1 if above else 0]
    edges += [edge(a, b) for a, b in pairwise([other, *below] if across else below)]
    if not across:
        edges.append(edge(top, *above[-1:], *below[:1]))
    name = f"merge {up} up and {down} down" + (", across roots" if across else "")
    return System(
        variables=balances(*names),
        start=_nothing(*names),
        transitions=(Transition(name, tuple(guard), changed(found.after)),),
        invariant=(*orderly(*names), *edges, *untouched(*names)),
    )


SHAPES = (*product((1, 2), (0, 1, 2)), (3, 3))
"""How far source and target are from their nearest common ancestor: every role, alone, once and repeated."""
