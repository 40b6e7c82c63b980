"""One account and the sums over its calls, where a hold may end before its call does.

A call is unsent or sent, and its hold is kept or was let go (``late``). ``now`` sums what calls in flight were billed
in this window, and ``old`` what was charged in it for bills of earlier ones. A step moves one call, whose cover and
bills are within the sums; A1 is that no call is billed more than its cover. What a step does to the ledger is not
written down here: the steps of ``reserve-settle`` are run on terms, as the solver and the explorer run them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import z3

from capsound.ceilings import LATE
from capsound.disciplines import Block, get_discipline
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.terms import TERMS, Term, conj, ints
from capsound_proofs.theorem import Fact, Transition
from capsound_proofs.theorems.books import BALANCES, changed, conserved, of

UNSENT, SENT, NOW = ints("unsent sent now")
LATE_UNSENT, LATE_SENT, LATE_NOW = ints("late.unsent late.sent late.now")
OLD, LOST, LET_GO = ints("old lost let-go")
"""``lost``: bills of this window of calls that were given up. ``let-go``: what calls were admitted for whose holds were
let go, and that could still be billed then."""

COVER, BILL, TOLD, ESTIMATE = ints("call.cover call.now call.told x")

FIELDS = (*BALANCES, "outstanding")
"""What of a ledger is looked at; ``outstanding`` is a ghost: what all calls that are not over were admitted for."""

OF_CALLS = (UNSENT, SENT, NOW, LATE_UNSENT, LATE_SENT, LATE_NOW, OLD, LOST, LET_GO)

VARIABLES: Mapping[str, Term] = {**{f"a.{f}": of("a", f) for f in FIELDS}, **{str(t): t for t in OF_CALLS}}

SOUND = get_discipline("reserve-settle")
_ASK, _SEND, _SETTLE = SOUND.blocks


def on_ledger(block: Block, call: CallVars, amount: Term = ESTIMATE) -> tuple[Term, dict[str, Term]]:
    """Return what lets a block, and what it changes of the ledger; ``amount`` is the estimate or the bill."""
    ledger = Ledger(**{name: of("a", name) for name in FIELDS})
    provider: Any = _Provider(amount)
    frame = Frame(TERMS, ledger, call, provider, lambda *_: amount, lambda *_: None)
    lets = conj([step.guard(frame) for step in block if step.guard is not None])
    for step in block:
        step.effect(frame)
    return lets, changed({f"a.{name}": getattr(ledger, name) for name in FIELDS})


class _Provider:
    """Any estimate and any bill, chosen as one amount."""

    def __init__(self, amount: Term) -> None:
        self.amount = amount

    def __getattr__(self, _: str) -> Any:
        return lambda *_: self.amount


def _step(name: str, guard: Iterable[Fact], block: Block, amount: Term = ESTIMATE, **sums: Term) -> Transition:
    lets, after = on_ledger(block, CallVars(size=COVER, cover=COVER, bill=TOLD, told=TOLD), amount)
    facts = [Fact("the block lets it", lets)] if lets is not True else []
    named = {key.replace("_", ".").replace("let.go", "let-go"): value for key, value in sums.items()}
    return Transition(name, (*guard, *facts), {**after, **named})


_POSITIVE = Fact("an estimate is not negative", ESTIMATE >= 0)
OF_UNSENT = (Fact("a call that is not sent is one of them", z3.And(COVER >= 0, COVER <= UNSENT)),)
_A1 = Fact("A1", z3.And(BILL >= 0, BILL <= COVER))
_COVERED = Fact("its hold covers its bill (A1)", TOLD <= COVER)
OF_SENT = (
    Fact("a call that is sent is one of them", z3.And(BILL >= 0, BILL <= NOW)),
    Fact("the others cover their bills", NOW - BILL <= SENT - COVER),
    Fact("what it was billed now is part of its bill (A7)", BILL <= TOLD),
    _COVERED,
)
OF_LATE_UNSENT = (Fact("a late call that is not sent is one of them", z3.And(COVER >= 0, COVER <= LATE_UNSENT)),)
OF_LATE_SENT = (
    Fact("a late call that is sent is one of them", z3.And(BILL >= 0, BILL <= LATE_NOW)),
    Fact("what it was billed now is part of its bill (A7)", BILL <= TOLD),
)


def life() -> tuple[Transition, ...]:
    """Return the steps of a call whose hold is kept."""
    return (
        _step("admit", (_POSITIVE,), _ASK, unsent=UNSENT + ESTIMATE),
        _step("send", (*OF_UNSENT, _A1), _SEND, BILL, unsent=UNSENT - COVER, sent=SENT + COVER, now=NOW + BILL),
        _step("settle", OF_SENT, _SETTLE, sent=SENT - COVER, now=NOW - BILL, old=OLD + TOLD - BILL),
        _step("give up before it is sent", OF_UNSENT, SOUND.before_send, unsent=UNSENT - COVER),
        _step(
            "give up after it is sent", OF_SENT, SOUND.after_send, sent=SENT - COVER, now=NOW - BILL, lost=LOST + BILL
        ),
    )


def late_life() -> tuple[Transition, ...]:
    """Return the steps of a call whose hold was let go: what would end the hold does what is left to do."""
    settle, release, forfeit = (
        tuple(LATE.get(step.name, step) for step in block) for block in (_SETTLE, SOUND.before_send, SOUND.after_send)
    )
    sent = {"late_unsent": LATE_UNSENT - COVER, "late_sent": LATE_SENT + COVER, "late_now": LATE_NOW + BILL}
    over = {"late_sent": LATE_SENT - COVER, "late_now": LATE_NOW - BILL}
    return (
        _step("send late", (*OF_LATE_UNSENT, _A1), _SEND, BILL, **sent),
        _step("settle late", OF_LATE_SENT, settle, **over, old=OLD + TOLD - BILL),
        _step("give up late, before it is sent", OF_LATE_UNSENT, release, late_unsent=LATE_UNSENT - COVER),
        _step("give up late, after it is sent", (*OF_LATE_SENT, _COVERED), forfeit, **over, lost=LOST + BILL),
    )


_KNOWN = of("a", "charged") + LOST + NOW + LATE_NOW

INVARIANT = (
    conserved("a"),
    Fact("nothing is delegated", z3.And(of("a", "delegated") == 0, of("a", "returned") == 0)),
    Fact("held is what calls hold", of("a", "held") == UNSENT + SENT),
    Fact("no call is forgotten", of("a", "outstanding") == UNSENT + SENT + LATE_UNSENT + LATE_SENT),
    Fact("no sum is negative", z3.And(*[t >= 0 for t in (UNSENT, NOW, LATE_UNSENT, LATE_NOW, OLD, LOST)])),
    Fact("nothing is charged below zero", of("a", "charged") >= 0),
    Fact("holds cover what is billed under them", NOW <= SENT),
    Fact("what is lost is written off", of("a", "forfeited") >= LOST),
    Fact("bills are known, lost, or those of calls in flight", of("a", "billed") + OLD == _KNOWN),
    Fact("no more is held than the cap", of("a", "held") <= of("a", "granted")),
    Fact("late calls are among those let go", LATE_NOW + LATE_UNSENT <= LET_GO),
    Fact(
        "a debt is that of late calls",
        of("a", "available") + LET_GO + OLD + of("a", "forfeited") - LOST >= LATE_NOW + LATE_UNSENT,
    ),
)

START = (
    Fact("all of the cap is free", of("a", "available") == of("a", "granted")),
    Fact("the cap is not negative", of("a", "granted") >= 0),
    Fact("the account is new", z3.And(*[of("a", b) == 0 for b in FIELDS if b not in ("granted", "available")])),
    Fact("no call", z3.And(*[t == 0 for t in OF_CALLS])),
)

GOAL = (
    Fact("the bills exceed the cap by no more than what was let go", of("a", "billed") <= of("a", "granted") + LET_GO),
)

TIGHT = "a larger allowance is a weaker bound: that it is no larger than need be is the second half"
"""Why a step may let go one more without breaking what is proved."""
