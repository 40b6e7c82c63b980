"""llm-cost-governor 0.7.0: ``ScopeBudget.would_exceed`` is asked before a call, and ``record`` told after it.

Two calls at once are both asked for before either is recorded:

>>> from llm_cost_governor.budget import ScopeBudget
>>> budget = ScopeBudget(limit_usd=5)
>>> [budget.would_exceed(5) for _ in range(2)]
[False, False]
>>> for _ in range(2):
...     budget.record({"model": "claude-haiku-4-5", "input_tokens": 5_000_000})
>>> budget.spent_usd
10.0
"""

from adapting import units, within
from llm_cost_governor.budget import ScopeBudget

from capsound.adapter import Adapter, Gate


class ScopeAdapter(Adapter):
    """Ask, call, record, as its hook does. One unit is a dollar."""

    gate = Gate.CHECK

    def open(self, cap: int) -> ScopeBudget:
        """Make the budget of one scope."""
        return ScopeBudget(limit_usd=within(cap))

    def check(self, scope: ScopeBudget, amount: int) -> bool:
        """Ask whether the estimate would pass the limit."""
        return not scope.would_exceed(amount)

    def record(self, scope: ScopeBudget, amount: int) -> None:
        """Add what was used."""
        scope.record({"model": "claude-haiku-4-5", "input_tokens": amount * 1_000_000})

    def spent(self, scope: ScopeBudget) -> int:
        """Return what was added."""
        return units(scope.spent_usd)
