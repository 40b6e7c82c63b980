"""A small, real budget: standard library only, importing none of the other packages (design section 3)."""

from capsound_reference.budget import Balances, Budget, Call, Hold, HoldState, Slice
from capsound_reference.ceilings import Ceiling, CeilingHold, today
from capsound_reference.errors import (
    BadAmount,
    BadName,
    BlockUsed,
    BudgetBusy,
    BudgetClosed,
    BudgetError,
    BudgetRefused,
    CopyRefused,
    HoldSent,
    HoldUsed,
    JournalFailed,
    MergeRefused,
)

__all__ = [
    "BadAmount",
    "BadName",
    "Balances",
    "BlockUsed",
    "Budget",
    "BudgetBusy",
    "BudgetClosed",
    "BudgetError",
    "BudgetRefused",
    "Call",
    "Ceiling",
    "CeilingHold",
    "CopyRefused",
    "Hold",
    "HoldSent",
    "HoldState",
    "HoldUsed",
    "JournalFailed",
    "MergeRefused",
    "Slice",
    "today",
]
