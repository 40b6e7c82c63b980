"""Theorem 12: what a sound rule has to reserve, and what a stream gets away with."""

from __future__ import annotations

from typing import Any

import z3

from capsound_proofs.terms import Term, ints
from capsound_proofs.theorem import (
    Answer,
    Fact,
    Kind,
    Obligation,
    System,
    Theorem,
    Transition,
    Values,
    Witness,
    run,
)
from capsound_proofs.theorems.streams import stream_mutants, stream_obligations, stream_run, streaming
from capsound_proofs.theorems.tokens_per_byte import short_call

# ------------------------------------------------------------------------------------ a rule of the request

RULE: Term = z3.Function("rule", z3.IntSort(), z3.IntSort())
"""What is reserved for a request, by any numbering of requests: any function of the request alone."""

REQUEST, WORST, BILL, CAP = ints("request worst bill cap")
INPUT, OUTPUT, MAX_OUTPUT = ints("input output max_output")
RESERVED: Term = RULE(REQUEST)

ADMITS = Fact("the rule admits what it reserves for", CAP == RESERVED)
BILLED = Fact("the worst case is billed", BILL == WORST)


def _request_rules() -> tuple[Obligation, ...]:
    name = "a rule that reserves less than the worst case"
    return (
        Obligation(
            "a rule of the request that is sound at the cap that it just fits reserves the worst case",
            (ADMITS, BILLED, Fact("the cap holds", BILL <= CAP)),
            RESERVED >= WORST,
            logic="QF_UFLIA",
        ),
        Obligation(
            f"{name} overshoots",
            (
                Fact("an amount is reserved", RESERVED >= 0),
                Fact("less than the worst case", RESERVED < WORST),
                BILLED,
                Fact("a cap that one call can overshoot", BILL >= 2),
            ),
            wanted=Answer.SAT,
            logic="QF_UFLIA",
            shown=lambda value: short_call(name, value(RESERVED), value(BILL)),
            cures=(
                Fact("the worst case is reserved", RESERVED >= WORST),
                Fact("the bill is within what is reserved", BILL <= RESERVED),
            ),
        ),
        Obligation(
            "so even with the input known exactly, the output that was not used is reserved",
            (
                Fact("the worst case is reserved", RESERVED >= WORST),
                Fact("the worst case is the input and all of the output (A6)", WORST == INPUT + MAX_OUTPUT),
                Fact("what was used is billed", BILL == INPUT + OUTPUT),
            ),
            RESERVED - BILL >= MAX_OUTPUT - OUTPUT,
            logic="QF_UFLIA",
        ),
    )


# ----------------------------------------------------------------------- a rule of all that was seen so far

SEEN: dict[str, Term] = {name: z3.Int(name) for name in ("told", "flight", "billed", "owed")}
TOLD, FLIGHT, PAID, OWED = SEEN.values()
NEW, DONE, COST, GRANT = ints("new done cost grant")

ROOM = Fact("the worst case fits beside all that is told and in flight", TOLD + FLIGHT + NEW <= GRANT)

KEEPING = System(
    variables=SEEN,
    start=(Fact("no call", z3.And(*[term == 0 for term in SEEN.values()])), Fact("a grant", GRANT >= 0)),
    transitions=(
        Transition(
            "a call is admitted",
            (Fact("a worst case", NEW >= 0), ROOM),
            {"flight": FLIGHT + NEW, "owed": OWED + NEW},
        ),
        Transition(
            "a bill is told",
            (
                Fact("of a call in flight", z3.And(DONE >= 0, DONE <= FLIGHT)),
                Fact("within its worst case", COST <= DONE),
            ),
            {"told": TOLD + COST, "flight": FLIGHT - DONE, "billed": PAID + COST, "owed": OWED - DONE},
        ),
    ),
    invariant=(
        Fact("all that may be billed fits", TOLD + FLIGHT <= GRANT),
        Fact("worst cases are not negative", FLIGHT >= 0),
        Fact("what is told is billed (A7)", TOLD == PAID),
        Fact("what is in flight may be billed", FLIGHT == OWED),
    ),
    goal=(
        Fact(
            "whatever the calls in flight are billed, the cap holds",
            z3.Implies(BILL <= OWED, PAID + BILL <= GRANT),
        ),
    ),
)
"""``told`` bills and the worst cases of calls in ``flight``: what any rule may know that does not see the future.

Ghosts: ``billed``, the true bills of calls that are told, and ``owed``, the most that those in flight can be billed.
"""


def _overcommitted(value: Values) -> Witness:
    told, worst, cap = value(TOLD), value(FLIGHT), value(GRANT)
    return Witness(
        "a call is admitted although its worst case does not fit",
        run(
            ("open", "root", cap),
            ("reserve", "root", "R1", told),
            ("send", "R1", "C1"),
            ("bill", "C1", told),
            ("settle", "R1", told),
            ("reserve", "root", "R2", cap - told),
            ("send", "R2", "C2"),
            ("bill", "C2", worst),
            ("settle", "R2", worst),
        ),
        ("overshoot",),
        {"root": told + worst - cap},
        {"root": told + worst - cap},
    )


def _any_rule() -> tuple[Obligation, ...]:
    committed = Fact("the worst cases in flight do not fit", TOLD + FLIGHT > GRANT)
    always = Obligation(
        "wherever the worst cases in flight do not fit, there are bills that overshoot",
        (committed, Fact("the worst cases are billed", BILL == FLIGHT)),
        TOLD + BILL > GRANT,
    )
    shown = Obligation(
        "a rule of all that was seen, which admits more than fits, overshoots by what does not fit",
        (
            Fact("something was told, and not all of the grant", z3.And(TOLD >= 1, TOLD < GRANT)),
            committed,
        ),
        wanted=Answer.SAT,
        shown=_overcommitted,
        cures=(Fact("all that may be billed fits", TOLD + FLIGHT <= GRANT),),
    )
    return (always, shown)


def same_requests(calls: int, reserved: int, worst: int) -> Witness:
    """Return the run of equal requests that fill the cap, each billed its worst case."""
    holds = range(calls)
    over = calls * (worst - reserved)
    rows: list[tuple[Any, ...]] = [("open", "root", calls * reserved)]
    rows += [("reserve", "root", f"R{i}", reserved) for i in holds]
    for i in holds:
        rows += [("send", f"R{i}", f"C{i}"), ("bill", f"C{i}", worst)]
    rows += [("settle", f"R{i}", worst) for i in holds]
    return Witness(
        f"{calls} calls at {reserved} of {worst}", run(*rows), ("overshoot",), {"root": over}, {"root": over}
    )


THEOREM = Theorem(
    number=12,
    name="lower-bound",
    kind=Kind.PROVED,
    statement="No sound rule keeps less than the worst case of each call in flight, and keeping that much is enough; "
    "a stream that extends its hold keeps one chunk above its bill, and no less would do.",
    mathematics="sound f: f(x) >= W(x) for all x; any rule is sound <=> told + sum of W in flight <= cap always; "
    "stream under A9: hold = billed + chunk when chunks are billed at their most",
    assumptions=("A6", "A7", "A9 for streams", "every bill up to W may come"),
    bound="all rules, requests, caps, numbers of calls and chunks",
    idea="At the cap that a call just fits the environment bills the worst case. Beside other calls the same holds of "
    "the sum. A stream is a chain of small calls: a chunk that has arrived is known, so all "
    "that is to be kept is the chunk under way.",
    build=lambda: (*_request_rules(), *_any_rule(), *stream_obligations()),
    systems=lambda: (KEEPING, streaming()),
    witnesses=lambda: (
        *(same_requests(k, 31, 40) for k in (1, 2, 5)),
        *(stream_run(n, 10, cut=cut) for n in (1, 2, 4) for cut in (False, True)),
    ),
    altered=stream_mutants,
)
