"""What an implementation can claim, weakest first: the isolation levels of budgets (design section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Guarantee(IntEnum):
    """The ladder; a higher guarantee includes every lower one."""

    NONE = 0
    STOPS = 1
    SEQUENTIAL = 2
    CONCURRENT = 3
    DELEGATED = 4
    FAULT_TOLERANT = 5
    OVERRUN_BOUNDED = 6

    @property
    def label(self) -> str:
        """The name used in messages, reports and docs."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Rung:
    """One guarantee: when it holds, and which assumption about bills it may rest on."""

    guarantee: Guarantee
    holds_when: str
    under: str


LADDER: tuple[Rung, ...] = (
    Rung(Guarantee.NONE, "nothing is promised", "-"),
    Rung(
        Guarantee.STOPS,
        "once the recorded spend has reached the cap, no further call is admitted",
        "any bills",
    ),
    Rung(Guarantee.SEQUENTIAL, "no overshoot if calls never overlap", "A1"),
    Rung(Guarantee.CONCURRENT, "no overshoot under any interleaving", "A1"),
    Rung(Guarantee.DELEGATED, "and no slice-overshoot, under any tree of delegation", "A1"),
    Rung(
        Guarantee.FAULT_TOLERANT,
        "and both survive cancellation, timeout, error and crash at every suspension point",
        "A1",
    ),
    Rung(
        Guarantee.OVERRUN_BOUNDED,
        "and where A1 fails, overshoot is at most the summed deficits of calls in flight, "
        "and the ledger tells the truth",
        "none",
    ),
)
