"""token-budget-orchestrator 0.1.0: ``BudgetManager`` is asked before a call and told after it, each under a lock.

Two calls at once are both asked for before either is recorded:

>>> from tbo import BudgetConfig
>>> from tbo.budget import BudgetManager
>>> manager = BudgetManager()
>>> _ = manager.register_agent("default", "writer", BudgetConfig(max_tokens=5))
>>> [manager.check_budget("default", "writer", 5).allowed for _ in range(2)]
[True, True]
>>> [manager.record_usage("default", "writer", 5, 0.0).used_tokens for _ in range(2)]
[5, 10]
"""

from types import SimpleNamespace

import tbo.budget
from tbo import BudgetConfig
from tbo.budget import BudgetExceededError, BudgetManager

from capsound.adapter import Adapter, Gate

tbo.budget.time = SimpleNamespace(time=lambda: 0.0)  # its day does not end


class ManagerAdapter(Adapter):
    """Ask, call, record. One unit is a token; it is asked for input tokens only. A daily budget, within one day."""

    gate = Gate.CHECK
    refused = (BudgetExceededError,)
    zero_is_unlimited = True  # it divides by the limit

    def open(self, cap: int) -> BudgetManager:
        """Register one agent."""
        manager = BudgetManager()
        manager.register_agent("default", "writer", BudgetConfig(max_tokens=cap))
        return manager

    def check(self, scope: BudgetManager, amount: int) -> bool:
        """Ask whether the input fits."""
        return scope.check_budget("default", "writer", amount).allowed

    def record(self, scope: BudgetManager, amount: int) -> None:
        """Count what was used."""
        scope.record_usage("default", "writer", amount, 0.0)

    def spent(self, scope: BudgetManager) -> int:
        """Return the tokens that were recorded."""
        budget = scope.get_budget("default", "writer")
        assert budget is not None
        return budget.used_tokens
