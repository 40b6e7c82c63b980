"""Theorem 20: what a cap over whole buckets of time says of spans of any place."""

from __future__ import annotations

import z3

from capsound.windows import HOUR, Buckets, Meter, Sliding
from capsound_proofs.terms import Term, ints, reals
from capsound_proofs.theorem import Answer, Computation, Fact, Kind, Obligation, Theorem

BUCKETS, EARLIER, LATER = ints("buckets earlier later")
"""How many buckets are counted, and in which two bills come."""

SINCE, TILL = reals("since till")
"""How far into its bucket each bill comes, of the bucket."""

FIRST, MIDDLE, LAST, CAP = ints("first middle last cap")
"""What is billed in a bucket, in those between it and the one that is ``buckets`` later, and in that one."""

APART: Term = LATER + TILL - EARLIER - SINCE
"""How much later the second bill comes, in buckets."""

_IN_ORDER = Fact("one bill comes after the other", APART >= 0)
_WITHIN = (
    Fact("the first comes in its bucket", z3.And(SINCE >= 0, SINCE < 1)),
    Fact("the second comes in its bucket", z3.And(TILL >= 0, TILL < 1)),
)
_SHORT = Fact("a span of one bucket less has both", APART < BUCKETS - 1)
_WHOLE = Fact("a span of all buckets has both", APART < BUCKETS)
_SOME = Fact("there is a bucket", BUCKETS >= 1)
_BILLS = (
    Fact("bills are not negative", z3.And(FIRST >= 0, MIDDLE >= 0, LAST >= 0)),
    Fact("the cap holds with the first bucket", FIRST + MIDDLE <= CAP),
    Fact("the cap holds with the last bucket", MIDDLE + LAST <= CAP),
)


def _obligations() -> tuple[Obligation, ...]:
    logic = "QF_LIRA"
    return (
        Obligation(
            "two bills in a span of one bucket less count together",
            (*_WITHIN, _SHORT),
            LATER - EARLIER <= BUCKETS - 1,
            logic=logic,
        ),
        Obligation(
            "two bills in a span of all buckets need not count together",
            (_SOME, _IN_ORDER, *_WITHIN, _WHOLE, Fact("they do not", LATER - EARLIER >= BUCKETS)),
            wanted=Answer.SAT,
            logic=logic,
            cures=(_SHORT, Fact("one bucket more is counted", LATER - EARLIER < BUCKETS)),
        ),
        Obligation(
            "two bills in a span of all buckets count together if one bucket more is counted",
            (*_WITHIN, _WHOLE),
            LATER - EARLIER <= BUCKETS,
            logic=logic,
        ),
        Obligation("a span of all buckets is billed at most twice the cap", _BILLS, FIRST + MIDDLE + LAST <= 2 * CAP),
        Obligation(
            "twice the cap is reached",
            (*_BILLS, Fact("something is allowed", CAP >= 1), Fact("twice", FIRST + MIDDLE + LAST >= 2 * CAP)),
            wanted=Answer.SAT,
            cures=(Fact("something is billed in between", MIDDLE >= 1),),
        ),
    )


def attained(buckets: int, cap: int) -> str:
    """Return what is wrong with two bills at the end of one bucket and at the beginning of another."""
    end, begin = HOUR - 1, buckets * HOUR
    counted, any_, more = (
        Meter(Buckets(HOUR, buckets)),
        Meter(Sliding(buckets * HOUR)),
        Meter(Buckets(HOUR, buckets + 1)),
    )
    for at in (end, begin):
        for meter in (counted, any_, more):
            meter.add(at, cap)
    seen = [meter.most()[1] for meter in (counted, any_, more)]
    return "" if seen == [cap, 2 * cap, 2 * cap] else f"{buckets} buckets count {seen} of two bills of {cap}"


THEOREM = Theorem(
    number=20,
    name="buckets",
    kind=Kind.PROVED,
    statement="A cap over B buckets of time is a cap over every span that is one bucket shorter. A span of B buckets "
    "can be billed twice the cap, and no more. With one bucket more counted, the cap holds in every span of B buckets.",
    mathematics="in units of a bucket, floor(t) - floor(s) < B if t - s < B - 1, and <= B if t - s < B; "
    "x + y <= c and y + z <= c give x + y + z <= 2 c, which is reached for all B >= 1 and c",
    assumptions=(),
    bound="all numbers and lengths of buckets, amounts, and any bills; B = 1 is a window that begins anew",
    idea="A span of B buckets of time that does not begin with one meets B + 1 of them. The first and the last are "
    "never counted together: each can be billed the cap, at its end and at its beginning. So a ledger that drops a "
    "bucket whose beginning is as old as the window counts too little by up to the cap: it has to wait for the end",
    build=_obligations,
    computations=tuple(
        Computation(f"{buckets} buckets, cap {cap}", lambda buckets=buckets, cap=cap: attained(buckets, cap))  # type: ignore[misc]
        for buckets, cap in ((1, 60), (2, 1), (24, 5), (60, 7))
    ),
)
