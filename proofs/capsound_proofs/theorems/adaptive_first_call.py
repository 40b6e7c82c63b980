"""Theorem 11: what an adaptive rule has learned says nothing of the first call, nor of any next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import z3

from capsound_proofs.terms import Term, ints
from capsound_proofs.theorem import (
    Answer,
    Fact,
    Kind,
    Mutant,
    Obligation,
    System,
    Theorem,
    Transition,
    Values,
    Witness,
    run,
)
from capsound_proofs.theorems.tokens_per_byte import short_call

# ------------------------------------------------------------------------------------------ any rule, alone

RULE: Term = z3.Function("rule", z3.IntSort(), z3.IntSort(), z3.IntSort())
"""What the rule reserves, from what it has seen and the request. Nothing is said of it: it stands for every rule."""

NOTHING = 0
"""The history of one who has seen no bill."""

SEEN, PAYLOAD, BILL, WORST = ints("seen payload bill worst")
"""A history and a request, by any numbering of them; what the call is billed, and the most that it can be billed."""


def _first(history: Term, name: str) -> Obligation:
    reserved = RULE(history, PAYLOAD)
    return Obligation(
        name,
        (
            Fact("the rule reserves an amount", reserved >= 0),
            Fact("the rule is below the worst case", reserved < WORST),
            Fact("the bill is any up to the worst case", z3.And(BILL >= 0, BILL <= WORST)),
            Fact("the bill is above what is reserved", reserved < BILL),
            Fact("a cap that one call can overshoot", BILL >= 2),
        ),
        wanted=Answer.SAT,
        logic="QF_UFLIA",
        shown=_alone(name, reserved),
        cures=(
            Fact("the rule falls back to the worst case", reserved >= WORST),
            Fact("the bill keeps to what was learned", reserved >= BILL),
        ),
    )


def _alone(name: str, reserved: Term) -> Callable[[Values], Witness]:
    def shown(value: Values) -> Witness:
        return short_call(name, value(reserved), value(BILL))

    return shown


# ------------------------------------------------------------------------------- k first calls, at once

TOGETHER: dict[str, Term] = {name: z3.Int(name) for name in ("calls", "reserved", "billed", "short")}
CALLS, RESERVED, BILLED, SHORT = TOGETHER.values()
NEXT, COST = ints("next cost")

FIRST_CALL = Transition(
    "one more first call is admitted and sent, while no bill is known",
    (
        Fact("the rule reserves an amount", NEXT >= 0),
        Fact("the worst case is one above what is reserved at least, and is billed", COST >= NEXT + 1),
    ),
    {"calls": CALLS + 1, "reserved": RESERVED + NEXT, "billed": BILLED + COST, "short": SHORT + 1},
)

UNSEEN = System(
    variables=TOGETHER,
    start=(Fact("no call", z3.And(CALLS == 0, RESERVED == 0, BILLED == 0, SHORT == 0)),),
    transitions=(FIRST_CALL,),
    invariant=(
        Fact("every call is short", SHORT == CALLS),
        Fact("each by one at least", BILLED >= RESERVED + CALLS),
        Fact("reservations are not negative", RESERVED >= 0),
    ),
    goal=(
        Fact("all k calls are short", SHORT == CALLS),
        Fact("a cap that is just reserved is overshot by k at least", BILLED - RESERVED >= CALLS),
    ),
)
"""What is reserved for each call may depend on all reservations before it: ``next`` is any amount each time."""


def together(reserved: tuple[int, ...]) -> Witness:
    """Return the run of first calls at once, each billed one more than is reserved for it; all of the cap is held."""
    holds = range(len(reserved))
    rows: list[tuple[Any, ...]] = [("open", "root", sum(reserved))]
    rows += [("reserve", "root", f"R{i}", reserved[i], f"agent-{i}") for i in holds]
    rows += [("send", f"R{i}", f"C{i}") for i in holds]
    rows += [("bill", f"C{i}", reserved[i] + 1) for i in holds]
    rows += [("settle", f"R{i}", reserved[i] + 1) for i in holds]
    return Witness(
        f"{len(reserved)} first calls at once, all of them short",
        run(*rows),
        ("overshoot",),
        {"root": len(reserved)},
        {"root": len(reserved)},
    )


# ---------------------------------------------------------------------------- a rule that learns and is sound

LEARNED, ADDED, MOST, TOKENS, SIZE = ints("learned added most tokens size")
"""The bound that was learned, what the template adds, the most that it can add; and of one call tokens and bytes."""

AT_MOST_ONE_A_BYTE = Fact("at most one token a byte (theorem 9)", TOKENS <= SIZE)
COUNTED = Fact("tokens are not negative", TOKENS >= 0)
A_BOUND = Fact("what is learned is a bound", LEARNED >= ADDED)

OBSERVE = Transition(
    "a bill is observed",
    (COUNTED,),
    {"learned": z3.If(TOKENS + ADDED < LEARNED, TOKENS + ADDED, LEARNED)},
)

FALLBACK = System(
    variables={"learned": LEARNED},
    start=(Fact("before any bill the worst case is assumed", LEARNED == MOST),),
    transitions=(OBSERVE,),
    invariant=(A_BOUND,),
    always=(Fact("the template adds the same to every call, and at most the worst case", ADDED <= MOST),),
)
"""Reserve the bytes and the least bill observed, or the worst case before any, however late bills are observed."""


def learning(size: int, added: int, most: int) -> Witness:
    """Return the run of that rule: the first call reserves the worst case, the second one what was learned."""
    first, second = size + most, size + size + added
    bill = size + added  # one token a byte, the most there can be
    return Witness(
        "a rule with a sound fallback: the second call reserves less, and both are covered",
        run(
            ("open", "root", max(first, bill + second)),
            ("reserve", "root", "R1", first),
            ("send", "R1", "C1"),
            ("bill", "C1", bill),
            ("settle", "R1", bill),
            ("reserve", "root", "R2", second),
            ("send", "R2", "C2"),
            ("bill", "C2", bill),
            ("settle", "R2", bill),
        ),
        overshoot={"root": 0},
        deficits={"root": 0},
    )


def _covered(facts: tuple[Fact, ...], bill: Term) -> Obligation:
    return Obligation("a call that reserves its bytes and what was learned is not short", facts, bill <= SIZE + LEARNED)


def _build() -> tuple[Obligation, ...]:
    return (
        _first(z3.IntVal(NOTHING), "a rule below the worst case is short on some first bill"),
        _first(SEEN, "and after any history on some next one"),
        Obligation(
            "one more than is reserved is such a bill, whatever the rule is",
            (
                Fact("the rule is below the worst case", RULE(SEEN, PAYLOAD) < WORST),
                Fact("one more is billed", RULE(SEEN, PAYLOAD) + 1 == BILL),
            ),
            z3.And(BILL <= WORST, RULE(SEEN, PAYLOAD) < BILL),
            logic="QF_UFLIA",
        ),
        Obligation(
            "a rule that falls back to the worst case is short on no first bill",
            (
                Fact("the rule falls back to the worst case", RULE(NOTHING, PAYLOAD) >= WORST),
                Fact("the bill is within the worst case", BILL <= WORST),
            ),
            RULE(NOTHING, PAYLOAD) >= BILL,
            logic="QF_UFLIA",
        ),
        _covered((AT_MOST_ONE_A_BYTE, A_BOUND), TOKENS + ADDED),
        Obligation(
            "what is learned with a fallback can be less than the worst case",
            (
                AT_MOST_ONE_A_BYTE,
                COUNTED,
                Fact("a template below its worst case", z3.And(ADDED >= 0, TOKENS + ADDED < MOST)),
                Fact("learned from one bill", LEARNED == TOKENS + ADDED),
                Fact("less is reserved", SIZE + LEARNED < SIZE + MOST),
            ),
            wanted=Answer.SAT,
            cures=(Fact("the first bill is the worst case", TOKENS + ADDED == MOST),),
        ),
    )


def _altered() -> tuple[Mutant, ...]:
    """Two rules that learn something else: the largest ratio, and a template that is another one for each call."""
    later = z3.Int("added later")
    known = (AT_MOST_ONE_A_BYTE, COUNTED, A_BOUND)
    other = (*known, Fact("another template", z3.And(later >= 0, later <= MOST)))
    typical = replace(OBSERVE, after={"learned": TOKENS + ADDED - SIZE})
    return (
        Mutant("the template of a later call is another one", (_covered(other, TOKENS + later),)),
        Mutant("the bytes are taken off what is learned", (FALLBACK.step(typical),)),
    )


THEOREM = Theorem(
    number=11,
    name="adaptive-first-call",
    kind=Kind.REFUTED,
    statement="A rule that learns from bills and reserves less than the worst case is short on some first call, and on "
    "all k of k first calls at once; a rule that falls back to the worst case is not.",
    mathematics="for all rules f, requests x: f((), x) < W(x) => some bill b <= W(x) has b > f((), x); "
    "k at once: sum b - sum f >= k; with f = |x| + min(H, bills seen) and tokens <= |x|: b <= f always",
    assumptions=(
        "the worst case W of a request may be billed",
        "fallback: one template for the session, tokens <= bytes",
    ),
    bound="all rules, requests, histories and numbers of calls",
    idea="The first reservation is a function of the request alone, so the environment may bill one more. Calls sent "
    "before the first bill is known all have the same empty history. A rule is sound if what it learns is a bound: one "
    "bill bounds the template of the session, since the payload is not negative.",
    build=_build,
    systems=lambda: (UNSEEN, FALLBACK),
    witnesses=lambda: (
        *(together(tuple(10 + 3 * i for i in range(k))) for k in (1, 2, 3, 8)),
        learning(13, 3, 450),
    ),
    altered=_altered,
    equivalent={
        "one more first call*, reserved not updated": "with less reserved the overshoot is only larger",
        "one more first call*, billed one more": "with more billed the overshoot is only larger",
        "a bill is observed, learned not updated": "a rule that learns nothing keeps the worst case",
        "a bill is observed, learned one more": "a bound that is one larger is a bound",
    },
)
