"""token-budget-contracts 0.3.0: ``BudgetManager.record_usage`` takes what was used, and raises above the limit.

What does not fit is not recorded, and there is room for the next call:

>>> from tbcontracts import BudgetExceededError, BudgetManager
>>> manager = BudgetManager()
>>> _ = manager.register_agent("writer", max_tokens=5)
>>> for tokens in (4, 9, 1):  # each was billed
...     try:
...         manager.record_usage("writer", tokens)
...     except BudgetExceededError as late:
...         print(late)
Agent 'writer' requested 9 tokens but only 1 were available even after attempting reallocation.
>>> manager.remaining("writer")
0
"""

from tbcontracts import BudgetExceededError, BudgetManager

from capsound.adapter import Adapter, Gate


class ManagerAdapter(Adapter):
    """Call, record: nothing is asked before. One unit is a token."""

    gate = Gate.RECORD
    refused = (BudgetExceededError,)
    rejected = (ValueError,)

    def open(self, cap: int) -> BudgetManager:
        """Register one agent, so that nobody has tokens to give away."""
        manager = BudgetManager()
        manager.register_agent("writer", max_tokens=cap)
        return manager

    def record(self, scope: BudgetManager, amount: int) -> None:
        """Record what was used; raises where it does not fit."""
        scope.record_usage("writer", amount)

    def spent(self, scope: BudgetManager) -> int:
        """Return what was recorded."""
        return scope.ledger.consumed("writer")

    def remaining(self, scope: BudgetManager) -> int:
        """Return the allocation without it."""
        return scope.remaining("writer")
