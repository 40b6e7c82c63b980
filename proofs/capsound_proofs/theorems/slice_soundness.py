"""Theorem 3: no subtree spends more than it was granted, in any delegation tree."""

from __future__ import annotations

from typing import Any

import z3

from capsound.disciplines import Block, get_discipline
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.symbolic import effect
from capsound_proofs.terms import TERMS, conj
from capsound_proofs.theorem import Fact, Kind, Mutant, Obligation, System, Theorem
from capsound_proofs.theorems.books import (
    BALANCES,
    KEPT,
    X,
    account,
    books,
    conserved,
    event_of,
    of,
    read_balances,
    solvent,
)
from capsound_proofs.theorems.trees import SHAPES, merge, slices

BELOW = z3.Int("below.billed")
SOUND = get_discipline("split-and-return")


def _systems() -> tuple[System, ...]:
    return (slices(), *(merge(up, down) for up, down in SHAPES))


def _keeps(kind: str, block: Block) -> Obligation:
    """Return the obligation that a block does what ``delegate`` or ``close`` does, and only where they are allowed."""
    opens = kind == "delegate"
    found = effect(
        lambda c: books([account(c, "p", root="p"), *([] if opens else [account(c, "s", "p", "p")])]),
        event_of(("delegate", "p", "s", X) if opens else ("close", "s")),
        read_balances("p", "s"),
    )
    parent = Ledger(**{b: of("p", b) for b in BALANCES})
    child = Ledger() if opens else Ledger(**{b: of("s", b) for b in BALANCES})
    nothing: Any = None
    frame = Frame(TERMS, child, CallVars(), nothing, lambda *_: 0, lambda *_: None, parent=parent, child=child, grant=X)
    lets = conj([step.guard(frame) for step in block if step.guard is not None])
    for step in block:
        step.effect(frame)
    facts = [Fact("the block lets it", lets)] if opens else [solvent("s")]
    same = [
        getattr(ledger, b) == found.after[f"{name}.{b}"]
        for name, ledger in (("p", parent), ("s", child))
        for b in BALANCES
    ]
    allowed = [z3.Not(term) for rule, term in found.broken.items() if rule in KEPT]
    return Obligation(f"[{', '.join(map(str, block))}] is an allowed {kind}", tuple(facts), z3.And(*same, *allowed))


def _build() -> tuple[Obligation, ...]:
    step = Obligation(
        "so the bills of an account and of everything below it are within what it was granted and has not returned",
        (
            conserved("a"),
            solvent("a"),
            Fact(
                "its own bills are covered (theorem 2)",
                of("a", "billed") <= of("a", "held") + of("a", "charged") + of("a", "forfeited"),
            ),
            Fact("its slices keep their grants (one level down)", of("a", "delegated") >= BELOW),
        ),
        of("a", "billed") + BELOW <= of("a", "granted") - of("a", "returned"),
    )
    return (step, _keeps("delegate", SOUND.delegate), _keeps("close", SOUND.close))


def _altered() -> tuple[Mutant, ...]:
    copied = get_discipline("copied-slices").delegate
    return (Mutant("delegate by a copy", (_keeps("delegate", copied),)),)


THEOREM = Theorem(
    number=3,
    name="slice-soundness",
    kind=Kind.PROVED,
    statement="No subtree is billed more than it was granted, however slices are delegated, closed and merged.",
    mathematics="R1, R2, R4-R9, R13, A1 and A7 => for every account a: "
    "sum of true bills below a <= granted(a) - returned(a)",
    assumptions=("A1, for all calls under a hold together", "A7"),
    bound="all amounts, agents, trees and schedules; the accounts on the way of a merge by their five roles",
    idea="Delegate, close and merge keep every account out of debt, and keep what a parent has delegated equal to what "
    "its slices were granted and have not returned. By theorem 2 an account covers its own bills. So, by induction "
    "over the depth of the tree, what is billed below an account is within what it was granted and has not returned.",
    build=_build,
    systems=_systems,
    altered=_altered,
    equivalent={
        "delegate, s.* not updated": "a slice that does not exist yet has nothing",
        "close, without: the slice exists": "an account with nothing has nothing to give back",
    },
)
