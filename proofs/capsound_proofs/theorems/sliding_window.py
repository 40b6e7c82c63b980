"""Theorem 19: a ledger keeps the cap of a window that slides if no cost leaves it before its bill leaves the window."""

from __future__ import annotations

from typing import Any

import z3

from capsound.windowed import WindowMonitor
from capsound.windows import HOUR, Sliding
from capsound_proofs.terms import Term, ints
from capsound_proofs.theorem import Computation, Fact, Kind, System, Theorem, Transition, run
from capsound_proofs.theorems.books import of
from capsound_proofs.theorems.calls_in_flight import (
    INVARIANT,
    LATE_NOW,
    LATE_UNSENT,
    LOST,
    NOW,
    OLD,
    START,
    VARIABLES,
    life,
)

LEAVES: Term
(LEAVES,) = ints("leaves")
"""What leaves in one step: any amount."""

_SOME = Fact("it is not negative", LEAVES >= 0)


def _step(name: str, most: Term, of_what: str, **after: Term) -> Transition:
    fact = Fact(f"it is part of {of_what}", most >= LEAVES)
    named = {key.replace("a_", "a."): value for key, value in after.items()}
    return Transition(name, (_SOME, fact), named)


def time_passes() -> tuple[Transition, ...]:
    """Return how time passes: bills leave the window, and costs the ledger, each after its bill."""
    billed, charged, available = of("a", "billed"), of("a", "charged"), of("a", "available")
    forfeited = of("a", "forfeited")
    gone, free = {"a_billed": billed - LEAVES}, {"a_available": available + LEAVES}
    return (
        _step("the bill of a call in flight leaves", NOW, "those bills", **gone, now=NOW - LEAVES),
        _step("the bill of a settled call leaves", charged - OLD, "those bills", **gone, old=OLD + LEAVES),
        _step("the bill of a lost call leaves", LOST, "those bills", **gone, lost=LOST - LEAVES),
        _step("a cost leaves after its bill", OLD, "such costs", **free, a_charged=charged - LEAVES, old=OLD - LEAVES),
        _step(
            "what was written off leaves after its bill",
            forfeited - LOST,
            "what has no bill in the window",
            **free,
            a_forfeited=forfeited - LEAVES,
        ),
    )


def _systems() -> tuple[System, ...]:
    return (System(VARIABLES, START, (*life(), *time_passes()), (*INVARIANT, _OLD, _NOTHING), (_CAP,)),)


_NOTHING = Fact("no call is late", z3.And(z3.Int("let-go") == 0, LATE_UNSENT == 0, LATE_NOW == 0))
_OLD = Fact("costs whose bills have left are charged", of("a", "charged") >= OLD)
_CAP = Fact("the bills of the window are within the cap", of("a", "billed") <= of("a", "granted"))


def twice(cap: int, hours: int) -> str:
    """Return what is wrong with the run in which a ledger that counts from the hold reaches twice the cap."""
    call: list[tuple[int, tuple[Any, ...]]] = [
        (0, ("open", "root", cap)),
        (0, ("reserve", "root", "R1", cap)),
        (hours - 1, ("send", "R1", "C1")),
        (hours - 1, ("bill", "C1", cap)),
        (hours - 1, ("settle", "R1", cap)),
        (hours, ("reserve", "root", "R2", cap)),  # the first hold is as old as the window, its bill is not
        (hours, ("send", "R2", "C2")),
        (hours, ("bill", "C2", cap)),
    ]
    monitor = WindowMonitor(Sliding(hours * HOUR))
    for hour, row in call:
        monitor.passes(hour * HOUR)
        monitor.feed(run(row)[0])
    over = monitor.report().overshoot
    return "" if list(over.values()) == [cap] else f"the monitor sees {dict(over)} above a cap of {cap}"


THEOREM = Theorem(
    number=19,
    name="sliding-window",
    kind=Kind.PROVED,
    statement="Reserve and settle keeps the cap of a window that slides if every cost leaves the ledger after its bill "
    "has left the window, and no hold of an open call leaves it. Counted from the settlement, that is so; counted "
    "from the hold, a window can be billed twice the cap.",
    mathematics="with steps that take any amount out of the window, and out of the ledger only what has left that: "
    "bills of the window <= cap; for all caps and lengths, a ledger that forgets by the age of the hold reaches 2 cap",
    assumptions=("A1", "A7"),
    bound="all amounts, agents, calls, schedules, lengths of the window, and any passage of time",
    idea="Time is a step that takes bills out of the window, in any amount and order. What the ledger counts beyond "
    "the bills of the window are costs of bills that have left it, and only those may leave the ledger. So it always "
    "counts what settled calls were billed in the window, and holds what others can be billed. A settlement is not "
    "before its bill, so a cost that is as old as the window has a bill that is older",
    systems=_systems,
    computations=tuple(
        Computation(f"twice a cap of {cap} in {hours} h", lambda cap=cap, hours=hours: twice(cap, hours))  # type: ignore[misc]
        for cap, hours in ((60, 24), (1, 2), (7, 168))
    ),
    equivalent={"* leaves after its bill, without: it is not negative": "a ledger that counts more keeps every cap"},
)
