"""Theorem 4: without A1 every admission rule that admits anything can be made to overshoot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import z3

from capsound.accounts import Account, HoldState, State, move
from capsound_proofs.symbolic import effect
from capsound_proofs.terms import Term
from capsound_proofs.theorem import (
    Answer,
    Fact,
    Kind,
    Mutant,
    Obligation,
    Theorem,
    Values,
    Witness,
    run,
)
from capsound_proofs.theorems.books import AMOUNT, BILLED, X, event_of, hold_before, of, read_balances

SEEN = ("granted", "available", "held", "charged", "forfeited", "delegated")
"""What a rule may look at beside the request: everything that the ledger knows of the account."""

RULE = z3.Function("admits", *[z3.IntSort()] * (len(SEEN) + 1), z3.BoolSort())
"""Any admission rule whatever: nothing is known of this function."""

ADMITS = RULE(*[of("a", name) for name in SEEN], AMOUNT)
LEFT: Term = z3.If(of("a", "granted") > of("a", "billed"), of("a", "granted") - of("a", "billed"), 0)
LOGIC = "QF_UFLIA"

AFTER_SEND = effect(hold_before(HoldState.SENT), event_of(("bill", "call", X)), read_balances("a"))
"""The bill of a call that was just sent, by the model's own transition: X is billed under a hold of AMOUNT."""

SENT = Fact("the call was sent, and nothing was billed for it yet", z3.And(AMOUNT >= 0, BILLED == 0, X >= 0))
ROOT = Fact("the account is a root, after any run", z3.And(of("a", "granted") >= 0, of("a", "returned") == 0))
ADMITTED = Fact("the rule admits the call", ADMITS)


def _billed(more: int) -> Fact:
    """Say that the provider bills what is left of the cap and ``more``, if the rule lets it."""
    return Fact("the provider bills one more than is left", (X - z3.If(ADMITS, LEFT + more, 0)) == 0)


def _over(fact: Fact) -> Obligation:
    return Obligation(
        "whatever the rule, the ledger's state and the amount: one bill breaks the cap",
        (ROOT, ADMITTED, fact),
        AFTER_SEND.broken["R10"],
        logic=LOGIC,
    )


def _strictest(value: Values) -> Witness:
    """Return the run of the model: the strictest rule, on a fresh root."""
    cap, amount, bill = value(of("a", "granted")), value(AMOUNT), value(X)
    return Witness(
        "the strictest rule, on a fresh root",
        run(("open", "root", cap), ("reserve", "root", "R1", amount), ("send", "R1", "C1"), ("bill", "C1", bill)),
        anomalies=("overshoot",),
        overshoot={"root": bill - cap},
    )


def _build() -> tuple[Obligation, ...]:
    fresh = z3.And(
        of("a", "available") == of("a", "granted") - AMOUNT,
        of("a", "held") == AMOUNT,
        *[of("a", name) == 0 for name in ("charged", "forfeited", "delegated", "billed")],
    )
    strict = Obligation(
        "a rule that admits only what fits beside everything outstanding",
        (
            ROOT,
            SENT,
            Fact("the root is fresh", fresh),
            Fact("the call fits", of("a", "available") >= 0),
            Fact("the cap is broken", AFTER_SEND.broken["R10"]),
        ),
        wanted=Answer.SAT,
        shown=_strictest,
        cures=(Fact("A1", AMOUNT >= X), Fact("the bill is what was left", of("a", "granted") >= X)),
    )
    return (_over(_billed(1)), strict)


def _altered() -> tuple[Mutant, ...]:
    return (
        Mutant("the provider bills what is left and no more", (_over(_billed(0)),)),
        Mutant("the provider bills one less than is left", (_over(_billed(-1)),)),
    )


Rule = Callable[[Account, int], bool]


def against(rule: Rule, cap: int, requests: Iterable[int]) -> tuple[Any, ...]:
    """Return a run in which ``rule`` refuses what it refuses, and the first call that it admits is billed cap + 1.

    Nothing was billed before it, so this breaks the cap, whatever the rule is. Without an admission there is no
    violation, and no use.
    """
    events = list(run(("open", "root", cap)))
    state = State()
    state = move(state, events[0])
    root: Any = "root"
    for amount in requests:
        if rule(state.account(root), amount):
            sent = (("reserve", "root", "R1", amount), ("send", "R1", "C1"), ("bill", "C1", cap + 1))
            return (*events, *run(*sent))
        events += run(("refuse", "root", amount))
    return tuple(events)


RULES: dict[str, Rule] = {
    "whatever fits": lambda account, amount: amount <= account.available,
    "at most a tenth of what is free": lambda account, amount: 10 * amount <= account.available,
    "calls of nothing only": lambda _, amount: amount == 0,
}


def _witnesses() -> tuple[Witness, ...]:
    return tuple(
        Witness(
            f"admitted: {name}",
            tuple(e for e in against(rule, 100, (11, 10, 0)) if e.kind != "refuse"),
            anomalies=("overshoot",),
            overshoot={"root": 1},
        )
        for name, rule in RULES.items()
    )


THEOREM = Theorem(
    number=4,
    name="a1-is-necessary",
    kind=Kind.REFUTED,
    statement="Without A1 no admission rule that admits anything keeps the cap.",
    mathematics="for every predicate admits(books, amount), all books and every admitted amount there is a bill b "
    "with billed + b > cap",
    assumptions=("not A1",),
    bound="all rules, states, amounts and caps",
    idea="The rule is a function of which nothing is known, and the state is any. As soon as the rule admits a call, "
    "however small, the provider bills one more than the cap has left, and by the model's own judgement the cap is "
    "broken. That run is also made against given rules: what fits, a tenth of what is free, calls of nothing only.",
    build=_build,
    altered=_altered,
    witnesses=_witnesses,
)
