"""Theorem 7: a hold that was sent must not come back, and money must not cross roots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import z3

from capsound.accounts import State
from capsound_proofs.symbolic import Amount, Choices, Effect, story
from capsound_proofs.terms import Term
from capsound_proofs.theorem import Answer, Fact, Kind, Obligation, System, Theorem, Values, Witness, run
from capsound_proofs.theorems.books import conserved, covered, read_balances

CAP, OTHER_CAP, FIRST, SECOND, BILL_1, BILL_2 = z3.Ints("cap other-cap first second bill-1 bill-2")
ZERO = z3.IntVal(0)
Row = tuple[Any, ...]


def _given_up(end: str) -> tuple[Row, ...]:
    """Return a run in which a call is given up after it was sent, and what is free then is used once more."""
    return (
        ("open", "a", CAP),
        ("reserve", "a", "R1", FIRST),
        ("send", "R1", "C1"),
        (end, "R1"),
        ("reserve", "a", "R2", SECOND),
        ("send", "R2", "C2"),
        ("bill", "C2", BILL_2),
        ("bill", "C1", BILL_1),
    )


CROSSED: tuple[Row, ...] = (
    ("open", "a", CAP),
    ("open", "b", OTHER_CAP),
    ("merge", "b", "a"),
    ("reserve", "b", "R2", SECOND),
    ("send", "R2", "C2"),
    ("bill", "C2", BILL_2),
)
"""The free money of one root is given to another, which spends it."""

SIGNS = Fact("amounts are not negative", z3.And(*[t >= 0 for t in (CAP, OTHER_CAP, FIRST, SECOND, BILL_1, BILL_2)]))
A1 = Fact("A1", z3.And(BILL_1 <= FIRST, BILL_2 <= SECOND))


def told(rows: tuple[Row, ...], *names: str) -> Effect:
    """Run rows of events on symbolic amounts; read the balances of the accounts ``names``."""

    def events(choices: Choices) -> Any:
        return run(*[tuple(Amount(p, choices) if isinstance(p, z3.ExprRef) else p for p in row) for row in rows])

    read: Callable[[State], Any] = read_balances(*names)
    return story(events, read, [SIGNS.term])


def shown(rows: tuple[Row, ...], name: str, anomalies: tuple[str, ...], over: dict[str, Term]) -> Any:
    """Return how a model becomes a witness: the same rows, on the numbers of the model."""

    def witness(value: Values) -> Witness:
        plain = [tuple(value(p) if isinstance(p, z3.ExprRef) else p for p in row) for row in rows]
        return Witness(name, run(*plain), anomalies, {root: value(term) for root, term in over.items()})

    return witness


def _kept(effect: Effect, *but: str) -> tuple[Fact, ...]:
    return tuple(Fact(rule, z3.Not(term)) for rule, term in effect.broken.items() if rule not in but)


def _systems() -> tuple[System, ...]:
    whole = covered()
    names = ("bill of a hold that is sent", "forfeit of a hold that is sent", "bill of a hold that is forfeited")
    return (replace(whole, transitions=tuple(t for t in whole.transitions if t.name in names)),)


def _build() -> tuple[Obligation, ...]:
    released, forfeited = told(_given_up("release"), "a"), told(_given_up("forfeit"), "a")
    crossed = told(CROSSED, "a", "b")
    billed = released.after["a.billed"]
    unsound = Obligation(
        "a sent call is released and billed all the same: every other rule and A1 hold, and the cap is broken",
        (SIGNS, A1, *_kept(released, "R8", "R10"), Fact("the cap is broken", billed > CAP)),
        wanted=Answer.SAT,
        shown=shown(
            _given_up("release"),
            "a hold comes back after its call was sent",
            ("refund-after-send", "overshoot"),
            {"a": BILL_1 + BILL_2 - CAP},
        ),
        cures=(
            Fact("R8", z3.Not(released.broken["R8"])),
            Fact("a call that is given up is never billed", BILL_1 == 0),
            Fact("nothing is admitted after it", z3.And(SECOND == 0)),
        ),
    )
    doubled = Obligation(
        "so every cap can be billed twice over",
        (
            SIGNS,
            Fact("both calls take the whole cap", z3.And(FIRST == CAP, SECOND == CAP)),
            Fact("and are billed in full", z3.And(BILL_1 == FIRST, BILL_2 == SECOND)),
        ),
        z3.And(billed == 2 * CAP, *[f.term for f in _kept(released, "R8", "R10")]),
    )
    written_off = Obligation(
        "the same run, with the hold forfeited, keeps the cap",
        (SIGNS, A1, *_kept(forfeited, "R10", "R3")),
        z3.Not(forfeited.broken["R10"]),
    )
    books = Obligation(
        "money crosses roots: both books still add up",
        (SIGNS,),
        z3.And(*[z3.substitute(conserved(n).term, *_pairs(crossed)) for n in "ab"]),
    )
    above = Obligation(
        "money crosses roots: every other rule and A1 hold, and one root is billed above the cap it was opened with",
        (SIGNS, A1, *_kept(crossed, "R13"), Fact("it is above", crossed.after["b.billed"] > OTHER_CAP)),
        wanted=Answer.SAT,
        shown=shown(CROSSED, "the free money of a root is spent on another", ("wrong-root",), {"a": ZERO, "b": ZERO}),
        cures=(
            Fact("R13", z3.Not(crossed.broken["R13"])),
            Fact("there is nothing to cross", CAP == 0),
        ),
    )
    return (unsound, doubled, written_off, books, above)


def _pairs(effect: Effect) -> list[tuple[Term, Term]]:
    return [(z3.Int(name), term) for name, term in effect.after.items()]


def _witnesses() -> tuple[Witness, ...]:
    rows: tuple[Row, ...] = (
        ("open", "a", 40),
        ("open", "b", 60),
        ("reserve", "a", "R1", 40),
        ("release", "R1"),
        ("reserve", "b", "R2", 100),
        ("send", "R2", "C2"),
        ("bill", "C2", 100),
        ("settle", "R2", 100),
    )
    return (
        Witness(
            "a refund of 40 that went to the wrong root, as the provider sees it",
            run(*rows),
            ("over-admit", "overshoot"),
            {"a": 0, "b": 40},
        ),
    )


THEOREM = Theorem(
    number=7,
    name="no-refund-after-send",
    kind=Kind.BOTH,
    statement="To release a hold after its call was sent breaks the cap; to forfeit it does not. "
    "A refund into another root leaves every book in order and breaks that root's cap.",
    mathematics="with A1 and without R8: bills = 2 cap is reachable for every cap; with forfeit in place of "
    "release: bills <= cap; without R13: both accounts are conserved, and bills(b) > cap(b) is reachable",
    assumptions=("A1", "A7"),
    bound="all amounts, holds and schedules for what is proved; every cap for what is refuted",
    idea="The run `reserve, send, release, reserve, send, bill, bill` is run through the model on symbolic amounts: "
    "every rule but R8 is kept, A1 holds, and twice the cap is billed. With the hold forfeited in its place the second "
    "reservation does not fit. Merged across roots, money leaves both books in order, and the bills of one root pass "
    "the cap that it was opened with",
    build=_build,
    systems=_systems,
    witnesses=_witnesses,
    equivalent={
        "*, without: amounts are not negative": "the ways through the model were looked for under it",
    },
)
