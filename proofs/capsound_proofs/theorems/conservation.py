"""Theorem 1: money is neither made nor lost, per account and per root, in delegation trees of any shape."""

from __future__ import annotations

from dataclasses import replace

import z3

from capsound_proofs.symbolic import effect
from capsound_proofs.theorem import Fact, Kind, Obligation, System, Theorem, Transition
from capsound_proofs.theorems.books import (
    BALANCES,
    HOLD_VARIABLES,
    NEW,
    SUMS,
    X,
    account,
    books,
    changed,
    conserved,
    event_of,
    hold_transitions,
    of,
    read_balances,
)
from capsound_proofs.theorems.trees import SHAPES, merge, slices

BOOKED = (*(f"a.{balance}" for balance in BALANCES if balance != "billed"), "hold.amount", "hold.life")
OWN = ("available", "held", "charged", "forfeited")


def _holds() -> System:
    """Return one account with any holds, under no rule and no assumption at all."""
    record = effect(lambda c: books([account(c, "a")]), event_of(("record", "a", X)), read_balances("a"))
    steps = (*hold_transitions((), assume=False), Transition("record", (), changed(record.after)))
    booked = [replace(t, after={k: v for k, v in t.after.items() if k in BOOKED}) for t in steps]
    return System(
        variables=HOLD_VARIABLES,
        start=NEW,
        transitions=tuple(booked),
        invariant=(conserved("a"), SUMS[0]),
        codes=("hold.life",),
    )


def _trees() -> tuple[System, ...]:
    """Return every change of a tree, under no rule: also of a debtor, and of what was closed or never finished."""
    own = slices(())
    kept = tuple(f for f in own.invariant if "not in debt" not in f.name and "returns" not in f.name)
    merges = [merge(up, down, ()) for up, down in (*SHAPES, (0, 1), (0, 2))]
    merges += [merge(up, down, (), across=True) for up in range(2) for down in range(2)]
    return (replace(own, invariant=kept), *(_loose(m) for m in merges))


def _loose(system: System) -> System:
    across = any("across" in t.name for t in system.transitions)
    kept = [f for f in system.invariant if "conserved" in f.name or ("delegated" in f.name and not across)]
    return replace(system, invariant=tuple(kept))


def _systems() -> tuple[System, ...]:
    return (_holds(), *_trees())


def _build() -> tuple[Obligation, ...]:
    below = z3.Int("below.own")
    root = Obligation(
        "so what is free, held, charged and forfeited below an account is what it was granted and has not returned",
        (
            conserved("a"),
            Fact("so it is one level down", below == of("a", "delegated")),
        ),
        sum(of("a", balance) for balance in OWN) + below == of("a", "granted") - of("a", "returned"),
    )
    return (root,)


ALLOWED_OR_NOT = "`move` conserves whether or not the event is allowed"

THEOREM = Theorem(
    number=1,
    name="conservation",
    kind=Kind.PROVED,
    statement="Every event conserves each account, allowed or not; each root as well, unless money crosses roots.",
    mathematics="available + held + charged + forfeited + delegated + returned = granted, for every account; "
    "sum of (available + held + charged + forfeited) below a = granted(a) - returned(a)",
    assumptions=(),
    bound="all amounts, holds, trees and schedules; the accounts on the way of a merge by their five roles",
    idea="`move` of the model is run on symbolic amounts, for every event at every point of the life of a hold, "
    "allowed or not, and each account still adds up. What a parent has delegated stays what its slices were granted "
    "and have not returned, so the sums telescope down the tree. Where money crosses roots each account still adds up, "
    "and the two roots do not",
    build=_build,
    systems=_systems,
    equivalent={
        "* of a hold that is *, without: *": ALLOWED_OR_NOT,
        "send of a hold that is held, hold.life not updated": "it is open either way",
        "delegate, without: *": ALLOWED_OR_NOT,
        "close, without: *": ALLOWED_OR_NOT,
        "delegate, s.* not updated": "a slice that does not exist yet has nothing",
    },
)
