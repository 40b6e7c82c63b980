"""Theorem 2: reserve and settle keeps the cap, on true bills, under A1.

The proof is about every ledger that keeps the rules of ``capsound.accounts``. That ``reserve-settle`` of
``capsound.disciplines`` is one of them is proved beside it, block by block.
"""

from __future__ import annotations

from typing import Any

import z3

from capsound.accounts import HoldState, State, move
from capsound.disciplines import Block, get_discipline
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.symbolic import effect
from capsound_proofs.terms import TERMS, conj
from capsound_proofs.theorem import Computation, Fact, Kind, Mutant, Obligation, System, Theorem, Witness, run
from capsound_proofs.theorems.books import (
    AMOUNT,
    BALANCES,
    BILLED,
    KEPT,
    X,
    conserved,
    covered,
    event_of,
    hold_before,
    of,
    read_balances,
    solvent,
)

BELOW = z3.Int("below.billed")
SOUND = get_discipline("reserve-settle")

_CHECK, _SEND, _SETTLE = SOUND.blocks
BLOCKS: dict[str, tuple[Block, HoldState | None, tuple[Any, ...]]] = {
    "reserve": (_CHECK, None, ("reserve", "a", "hold", X)),
    "bill": (_SEND, HoldState.SENT, ("bill", "call", X)),
    "settle": (_SETTLE, HoldState.SENT, ("settle", "hold", X)),
    "release": (SOUND.before_send, HoldState.HELD, ("release", "hold")),
    "forfeit": (SOUND.after_send, HoldState.SENT, ("forfeit", "hold")),
}
"""Each block of the discipline, where the hold is then, and the event that it says it is."""


def _keeps(name: str, block: Block) -> Obligation:
    """Return the obligation that a block does what the event does, and only where the rules allow it."""
    _, state, row = BLOCKS[name]
    ledger = Ledger(**{b: of("a", b) for b in BALANCES})
    new = state is None
    call = CallVars(size=X if new else AMOUNT, cover=0 if new else AMOUNT, bill=BILLED, told=BILLED)
    if name == "bill":
        call = CallVars(size=AMOUNT, cover=AMOUNT)
    nothing: Any = _Provider()
    frame = Frame(TERMS, ledger, call, nothing, lambda *_: X, lambda *_: None)
    lets = conj([step.guard(frame) for step in block if step.guard is not None])
    for step in block:
        step.effect(frame)
    found = effect(hold_before(state), event_of(row), read_balances("a"))
    same = [getattr(ledger, b) == found.after[f"a.{b}"] for b in BALANCES]
    facts = [Fact("the block lets it", lets)] if lets is not True else []
    if name == "settle":
        facts.append(Fact("A7", call.told == X))
    allowed = [z3.Not(term) for rule, term in found.broken.items() if rule in KEPT]
    return Obligation(f"[{', '.join(map(str, block))}] is an allowed {name}", tuple(facts), z3.And(*same, *allowed))


class _Provider:
    """Any estimate and any bill, chosen as the amount of the event."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_: X


def _systems() -> tuple[System, ...]:
    return (covered(),)


def _build() -> tuple[Obligation, ...]:
    root = Obligation(
        "so the bills of a root and of everything below it are within its cap",
        (
            conserved("a"),
            solvent("a"),
            Fact(
                "its own bills are covered",
                of("a", "billed") <= of("a", "held") + of("a", "charged") + of("a", "forfeited"),
            ),
            Fact("its slices keep their grants (theorem 3)", of("a", "delegated") >= BELOW),
            Fact("a root gives nothing back", of("a", "returned") == 0),
        ),
        of("a", "billed") + BELOW <= of("a", "granted"),
    )
    return (root, *(_keeps(name, block) for name, (block, _, _) in BLOCKS.items()))


def _altered() -> tuple[Mutant, ...]:
    """Return blocks of other disciplines in the place of those of this one."""
    other = {
        "reserve": get_discipline("racy-counter").blocks[0],
        "settle": get_discipline("settle-capped").blocks[2],
        "forfeit": get_discipline("release-on-cancel").after_send,
    }
    return tuple(Mutant(f"{name} by [{', '.join(map(str, b))}]", (_keeps(name, b),)) for name, b in other.items())


def _faults() -> str:
    """Return which faults move money in the model, nothing if none does."""
    state = State()
    for event in run(("open", "a", 9), ("reserve", "a", "R1", 5, "w"), ("send", "R1", "C1")):
        state = move(state, event)
    faults = run(("cancel", "R1"), ("timeout", "C1"), ("crash", "w"))
    moved = [event.kind for event in faults if move(state, event) is not state]
    return f"{', '.join(moved)} moves money" if moved else ""


def _witnesses() -> tuple[Witness, ...]:
    rows = (
        ("open", "root", 10),
        ("reserve", "root", "R1", 10),
        ("send", "R1", "C1"),
        ("bill", "C1", 10),
        ("timeout", "C1"),
        ("send", "R1", "C2"),
        ("bill", "C2", 10),
        ("settle", "R1", 20),
    )
    once = "why A1 is about all calls of a hold: two of 10 under one of 10"
    return (Witness(once, run(*rows), ("overshoot",), {"root": 10}),)


THEOREM = Theorem(
    number=2,
    name="cap-soundness",
    kind=Kind.PROVED,
    statement="Reserve and settle keeps the cap on true bills, through crashes, cancellations and retries.",
    mathematics="R1, R2, R4-R9, A1 and A7 => for every root: sum of true bills below it <= cap",
    assumptions=("A1, for all calls under a hold together", "A7"),
    bound="all amounts, agents, calls, retries and schedules",
    idea="Look at one hold and at the sum of all others. Whatever the event, the rest of the sums stays as it was, "
    "the hold covers its bill until it is settled, and the account is not in debt. So what is billed is held, charged "
    "or forfeited, and by conservation that is within the cap. A fault moves no money; a retry is one more call.",
    build=_build,
    systems=_systems,
    altered=_altered,
    witnesses=_witnesses,
    computations=(Computation("faults move no money", _faults),),
    equivalent={
        "reserve*, hold.billed not updated": "what is not reserved has no bill either",
        "settle of a hold that is held, a.charged not updated": "R9: what was never billed is settled at 0",
        "settle*, without: amounts are not negative": "R9: the amount is the bill, which is not negative",
        "send of a hold that is sent, hold.calls not updated": "a hold that was sent once may be billed as it is",
        "send of a hold that is settled, without: R7": "A7: no bill comes after the settlement",
        "send of a hold that is forfeited, without: R7": "A1: the bills stay within a hold that is spent",
    },
)
