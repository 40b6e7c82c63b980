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
        "no call is admitted once recorded spend has reached the cap",
        "any bills",
    ),
    Rung(Guarantee.SEQUENTIAL, "no overshoot if calls never overlap", "A1"),
    Rung(Guarantee.CONCURRENT, "no overshoot under any interleaving", "A1"),
    Rung(Guarantee.DELEGATED, "also no slice-overshoot, under any delegation tree", "A1"),
    Rung(
        Guarantee.FAULT_TOLERANT,
        "also under cancellation, timeout, error and crash at every suspension point",
        "A1",
    ),
    Rung(
        Guarantee.OVERRUN_BOUNDED,
        "also if A1 fails: overshoot never exceeds the summed deficits of calls in flight, "
        "and the ledger tells the truth",
        "none",
    ),
)
