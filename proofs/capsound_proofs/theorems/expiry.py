"""Theorem 17: where holds expire while their calls are open, the overshoot is at most what expired."""

from __future__ import annotations

from typing import Any

from capsound.late import LET_GO as EXPIRE
from capsound.steps import CallVars
from capsound_proofs.theorem import Kind, System, Theorem, Transition, Witness, run
from capsound_proofs.theorems.calls_in_flight import (
    BILL,
    COVER,
    GOAL,
    INVARIANT,
    LATE_NOW,
    LATE_SENT,
    LATE_UNSENT,
    LET_GO,
    NOW,
    OF_SENT,
    OF_UNSENT,
    SENT,
    START,
    TIGHT,
    UNSENT,
    VARIABLES,
    late_life,
    life,
    on_ledger,
)


def _expiries() -> tuple[Transition, ...]:
    _, after = on_ledger((EXPIRE,), CallVars(cover=COVER))
    unsent = {"unsent": UNSENT - COVER, "late.unsent": LATE_UNSENT + COVER, "let-go": LET_GO + COVER}
    sent = {
        "sent": SENT - COVER,
        "now": NOW - BILL,
        "late.sent": LATE_SENT + COVER,
        "late.now": LATE_NOW + BILL,
        "let-go": LET_GO + COVER,
    }
    return (
        Transition("a hold expires before its call is sent", OF_UNSENT, {**after, **unsent}),
        Transition("a hold expires after its call is sent", OF_SENT, {**after, **sent}),
    )


def _systems() -> tuple[System, ...]:
    return (System(VARIABLES, START, (*life(), *late_life(), *_expiries()), INVARIANT, GOAL),)


def attained(holds: tuple[int, ...]) -> Witness:
    """Return a run in which the holds of calls that use up the cap expire, and the cap is spent again."""
    cap = sum(holds)
    rows: list[tuple[Any, ...]] = [("open", "root", cap)]
    for number, hold in enumerate(holds, start=1):
        rows += [("reserve", "root", f"R{number}", hold), ("send", f"R{number}", f"C{number}")]
        rows += [("bill", f"C{number}", hold), ("expire", f"R{number}")]
    rows += [("reserve", "root", "R", cap), ("send", "R", "C"), ("bill", "C", cap)]
    return Witness(
        f"holds of {', '.join(map(str, holds))} expire while their calls are open",
        run(*rows),
        anomalies=("expired-hold", "stale-admit", "overshoot"),
        overshoot={"root": cap},
    )


def _witnesses() -> tuple[Witness, ...]:
    return tuple(attained(holds) for holds in ((60,), (3, 4), (5, 1, 7)))


THEOREM = Theorem(
    number=17,
    name="expiry",
    kind=Kind.PROVED,
    statement="Where holds expire while their calls are open, the overshoot is at most what expired, "
    "and that is attained.",
    mathematics="true bills <= cap + sum of the holds that expired while their calls were open; for all holds h_i that "
    "use up the cap, the bills reach sum of h_i above it",
    assumptions=("A1", "A7"),
    bound="all amounts, agents, calls and schedules",
    idea="A hold that expires gives back what its call can still be billed, or was billed and has not told. So what "
    "others are admitted on although it is taken is at most what expired. A late settlement charges the bill in full, "
    "and an account in debt admits nothing",
    systems=_systems,
    witnesses=_witnesses,
    equivalent={"a hold expires *, let-go one more": TIGHT},
)
