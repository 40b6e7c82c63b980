"""compute-cfo 0.3.0: ``CostTracker.record`` takes an event after the call, and raises where it would pass the budget.

The event that does not fit is not recorded, and there is room for the next call:

>>> from datetime import datetime, timezone
>>> from compute_cfo import BudgetExceededError, BudgetPolicy, CostEvent, CostTracker
>>> tracker = CostTracker(budget=BudgetPolicy(max_cost=5), quiet=True)
>>> for cost in (4, 9, 1):  # each was billed
...     try:
...         tracker.record(CostEvent(datetime.now(timezone.utc), "openai", "gpt-4o", "chat", 0, 0, cost))
...     except BudgetExceededError as late:
...         print(late)
Budget exceeded: $13.0000 / $5.0000 (total window)
>>> tracker.total_cost
5
"""

from datetime import UTC, datetime

from adapting import units, within
from compute_cfo import BudgetExceededError, BudgetPolicy, CostEvent, CostTracker

from capsound.adapter import Adapter, Gate


class TrackerAdapter(Adapter):
    """Call, record: nothing is asked before. One unit is a dollar."""

    gate = Gate.RECORD
    refused = (BudgetExceededError,)

    def open(self, cap: int) -> CostTracker:
        """Make a tracker with a budget for its lifetime."""
        return CostTracker(budget=BudgetPolicy(max_cost=within(cap)), quiet=True)

    def record(self, scope: CostTracker, amount: int) -> None:
        """Record an event; raises where it does not fit."""
        scope.record(CostEvent(datetime.now(UTC), "openai", "gpt-4o", "chat", 0, 0, amount))

    def spent(self, scope: CostTracker) -> int:
        """Return the sum of all events."""
        return units(scope.total_cost)
