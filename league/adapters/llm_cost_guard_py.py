"""llm-cost-guard-py 0.1.0: ``Budget.check`` compares a cost with the cap of a session; ``record`` adds one.

Two calls at once are both asked for before either is recorded:

>>> from decimal import Decimal
>>> from llm_cost_guard import Budget, Cost
>>> budget, call = Budget(max_usd_per_session=5), Cost("m", 0, 0, Decimal(0), Decimal(5), Decimal(5))
>>> [budget.check(call).allowed for _ in range(2)]
[True, True]
>>> budget.record(call), budget.record(call), str(budget.spent_usd)
(None, None, '10')
"""

from decimal import Decimal

from adapting import units
from llm_cost_guard import Budget, Cost

from capsound.adapter import Adapter, Gate


def cost(amount: int) -> Cost:
    """Return a cost of so many dollars."""
    return Cost("m", 0, 0, Decimal(0), Decimal(amount), Decimal(amount))


class BudgetAdapter(Adapter):
    """Ask, call, record. One unit is a dollar, as a ``Decimal``."""

    gate = Gate.CHECK

    def open(self, cap: int) -> Budget:
        """Make the budget of one session."""
        return Budget(max_usd_per_session=cap)

    def check(self, scope: Budget, amount: int) -> bool:
        """Ask whether the estimate fits."""
        return scope.check(cost(amount)).allowed

    def record(self, scope: Budget, amount: int) -> None:
        """Add what was used."""
        scope.record(cost(amount))

    def spent(self, scope: Budget) -> int:
        """Return what was added."""
        return units(scope.spent_usd)
