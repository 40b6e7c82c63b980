"""What is no step of a discipline, but happens to one: a hold is let go while its call is open, which ends later."""

from __future__ import annotations

from capsound.frames import Frame, Step
from capsound.ghosts import resolve


def _late_capped(f: Frame) -> None:
    charged = f.minimum(f.call.told, f.call.cover)
    f.account.charged = f.account.charged + charged
    f.account.available = f.account.available - charged
    resolve(f, f.call.told, known=True)
    f.emit("settle")


def _late_forfeit(f: Frame) -> None:
    f.account.available = f.account.available - f.call.cover
    f.account.forfeited = f.account.forfeited + f.call.cover
    resolve(f, f.call.cover, known=False)
    f.emit("forfeit")


def _let_go(f: Frame) -> None:
    # No ghost changes: a sound ledger would hold it still.
    f.account.held = f.account.held - f.call.cover
    f.account.available = f.account.available + f.call.cover
    f.emit("expire")


LET_GO = Step("let go", "the hold ends although its call goes on, and all of it is available again", _let_go)
LATE_CAPPED = Step(
    "settle-capped", "the reported cost is charged after the hold, but never more than it was", _late_capped
)
LATE_FORFEIT = Step("forfeit", "what was held counts as spent after the hold was let go", _late_forfeit)
