"""agentsentinel-core 1.2.0: ``CostTracker`` says whether a model is within its budget, and adds what was used.

It is not asked what the next call costs: the budget is within reach until it is spent.

>>> from agentsentinel.cost_tracker import CostTracker, CostTrackerConfig
>>> tracker = CostTracker(CostTrackerConfig(model_budgets={"gpt-4o": 5}))
>>> for dollars in (4, 9):
...     print(tracker.check_model_budget("gpt-4o")[0], tracker.record_usage("gpt-4o", dollars * 400_000, 0))
True 4.0
True 9.0
>>> tracker.get_total_cost(), tracker.check_model_budget("gpt-4o")[0]
(13.0, False)
"""

from adapting import units, within
from agentsentinel.cost_tracker import CostTracker, CostTrackerConfig

from capsound.adapter import Adapter, Gate

DOLLAR = 400_000
"""So many input tokens of gpt-4o."""


class TrackerAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    zero_is_unlimited = True  # a budget of 0 lets the first call through

    def open(self, cap: int) -> CostTracker:
        """Set the budget of one model."""
        return CostTracker(CostTrackerConfig(model_budgets={"gpt-4o": within(cap)}))

    def check(self, scope: CostTracker, amount: int) -> bool:  # noqa: ARG002 - it is not asked what the call will cost
        """Ask whether the model is within its budget."""
        return scope.check_model_budget("gpt-4o")[0]

    def record(self, scope: CostTracker, amount: int) -> None:
        """Add what was used."""
        scope.record_usage("gpt-4o", amount * DOLLAR, 0)

    def spent(self, scope: CostTracker) -> int:
        """Return the sum."""
        return units(scope.get_total_cost())
