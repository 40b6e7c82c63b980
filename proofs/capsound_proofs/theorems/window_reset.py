"""Theorem 15: a reset that keeps what open calls hold keeps the cap of each window; one that forgets it does not."""

from __future__ import annotations

from typing import Any

import z3

from capsound.ceilings import begin_window
from capsound.steps import Ledger
from capsound_proofs.terms import Term, integer
from capsound_proofs.theorem import Fact, Kind, System, Theorem, Transition, Witness, run
from capsound_proofs.theorems.books import changed, of
from capsound_proofs.theorems.calls_in_flight import (
    FIELDS,
    GOAL,
    INVARIANT,
    LATE_SENT,
    LATE_UNSENT,
    SENT,
    START,
    TIGHT,
    UNSENT,
    VARIABLES,
    late_life,
    life,
)

ZERO = z3.IntVal(0)


def reset(*, keeps: bool) -> Transition:
    """Return what a reset does to the ledger, and to the sums over the calls."""
    ledger = Ledger(**{name: of("a", name) for name in FIELDS})
    begin_window(ledger, keeps=keeps)
    values = {name: getattr(ledger, name) for name in FIELDS}
    after = changed({f"a.{name}": integer(value) for name, value in values.items()})
    sums: dict[str, Term] = dict.fromkeys(("now", "late.now", "old", "lost"), ZERO)
    if keeps:
        sums["let-go"] = LATE_UNSENT
    else:
        sums |= dict.fromkeys(("let-go", "late.unsent"), LATE_UNSENT + UNSENT)
        sums |= {"late.sent": LATE_SENT + SENT, "unsent": ZERO, "sent": ZERO}
    return Transition(f"a reset that {'keeps' if keeps else 'forgets'} what is held", (), {**after, **sums})


def _systems() -> tuple[System, ...]:
    kept = System(VARIABLES, START, (*life(), reset(keeps=True)), (*INVARIANT, _NOTHING), (_CAP,))
    any_ = (*life(), *late_life(), reset(keeps=True), reset(keeps=False))
    return (kept, System(VARIABLES, START, any_, INVARIANT, GOAL))


_NOTHING = Fact("no call is late", z3.And(z3.Int("let-go") == 0, LATE_UNSENT == 0, z3.Int("late.now") == 0))
_CAP = Fact("the bills of a window are within the cap", of("a", "billed") <= of("a", "granted"))


def attained(holds: tuple[int, ...]) -> Witness:
    """Return a run in which calls that use up the cap are forgotten, and the next window is spent on others, too."""
    cap = sum(holds)
    rows: list[tuple[Any, ...]] = [("open", "root", cap)]
    rows += [("reserve", "root", f"R{n}", hold) for n, hold in enumerate(holds, start=1)]
    rows += [("reset", "root", tuple(f"R{n}" for n in range(1, len(holds) + 1)))]
    rows += [("reserve", "root", "R", cap), ("send", "R", "C"), ("bill", "C", cap)]
    for number, hold in enumerate(holds, start=1):
        rows += [("send", f"R{number}", f"C{number}"), ("bill", f"C{number}", hold)]
    return Witness(
        f"a reset that forgets holds of {', '.join(map(str, holds))}",
        run(*rows),
        anomalies=("stale-admit", "overshoot", "window-leak"),
        overshoot={"root": cap},
    )


def _witnesses() -> tuple[Witness, ...]:
    kept = (
        ("open", "root", 60),
        ("reserve", "root", "R1", 60),
        ("send", "R1", "C1"),
        ("bill", "C1", 60),
        ("reset", "root"),
        ("settle", "R1", 60),
        ("reset", "root"),
        ("reserve", "root", "R2", 60),
        ("send", "R2", "C2"),
        ("bill", "C2", 60),
    )
    same = "billed in one window and settled in the next: each window is billed 60 of 60"
    return (*(attained(holds) for holds in ((60,), (3, 4), (5, 1, 7))), Witness(same, run(*kept), (), {"root": 0}))


THEOREM = Theorem(
    number=15,
    name="window-reset",
    kind=Kind.PROVED,
    statement="Reserve and settle keeps the cap of every window if a reset keeps what open calls hold. "
    "If it forgets that, the next window is over by at most what calls not yet sent held, and that is attained.",
    mathematics="with resets that keep: bills of a window <= cap; with any resets: bills of a window <= cap + sum of "
    "the covers of calls that are open, not sent, and not held after its reset; for all holds h_i that use up the cap, "
    "the bills of a window reach sum of h_i above it",
    assumptions=("A1", "A7"),
    bound="all amounts, agents, calls, schedules, and any number of resets at any moment",
    idea="A bill belongs to the window in which the provider bills. So a call that was billed before the reset adds "
    "nothing to the window, and a call that was not is held in it. What is billed is known, or it is that of a call in "
    "flight, and that is held or was let go. Where nothing is let go, conservation leaves no room above the cap",
    systems=_systems,
    witnesses=_witnesses,
    equivalent={
        "a reset that keeps what is held, late.now not updated": "where no call is late, none of their bills is left",
        "a reset that *, let-go one more": TIGHT,
        "a reset that *, let-go not updated": TIGHT,
    },
)
