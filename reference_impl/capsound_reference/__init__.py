"""A small, real budget: standard library only, importing none of the other packages (design section 3)."""

from capsound_reference.budget import (
    BadAmount,
    Balances,
    Budget,
    BudgetBusy,
    BudgetClosed,
    BudgetError,
    BudgetRefused,
    CopyRefused,
    Hold,
    HoldSent,
    HoldState,
    HoldUsed,
)

__all__ = [
    "BadAmount",
    "Balances",
    "Budget",
    "BudgetBusy",
    "BudgetClosed",
    "BudgetError",
    "BudgetRefused",
    "CopyRefused",
    "Hold",
    "HoldSent",
    "HoldState",
    "HoldUsed",
]
