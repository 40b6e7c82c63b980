"""ai-cost-guard 0.1.0: ``CostGuard.check_budget`` compares an estimate with a log, to which calls are added later.

Two calls at once are both asked for before either is recorded:

>>> import tempfile
>>> from ai_cost_guard.core.guard import CostGuard
>>> from ai_cost_guard.core.tracker import CostTracker
>>> guard = CostGuard(5.0, tracker=CostTracker(tempfile.mktemp()))
>>> model, dollar = "google/gemini-1.5-pro", 800_000
>>> for _ in range(2):
...     guard.check_budget(model, 5 * dollar)
>>> for _ in range(2):
...     _ = guard.record(model, 5 * dollar, 0)
>>> guard.status()["spent_usd"]
10.0
"""

import os
import tempfile
import time

from adapting import units, within
from ai_cost_guard.core.guard import BudgetExceededError, CostGuard
from ai_cost_guard.core.tracker import CostTracker

from capsound.adapter import Adapter, Gate

os.environ["TZ"] = "UTC"  # its week begins at local midnight
time.tzset()
MODEL, DOLLAR = "google/gemini-1.5-pro", 800_000
"""So many input tokens cost a dollar."""


class GuardAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    window = "week"
    refused = (BudgetExceededError,)

    def open(self, cap: int) -> CostGuard:
        """Make a guard with a log of its own, which warns of nothing."""
        return CostGuard(within(cap), alert_at_pct=2, tracker=CostTracker(tempfile.mktemp()))

    def check(self, scope: CostGuard, amount: int) -> bool:
        """Ask whether the estimate fits."""
        scope.check_budget(MODEL, amount * DOLLAR)
        return True

    def record(self, scope: CostGuard, amount: int) -> None:
        """Add what was used."""
        scope.record(MODEL, amount * DOLLAR, 0)

    def spent(self, scope: CostGuard) -> int:
        """Return what the log says."""
        return units(scope.tracker.spent())
