"""llm-budget 0.2.0: ``BudgetEnforcer`` compares an estimate with the spend in a database.

Two calls at once are both asked for before either is recorded:

>>> from llm_budget.enforcer import BudgetEnforcer, BudgetPolicy
>>> from llm_budget.estimator import EstimationResult
>>> from llm_budget.tracker import Tracker
>>> tracker = Tracker(":memory:")
>>> enforcer, call = BudgetEnforcer(tracker), EstimationResult("m", "p", 0, 0, 5.0, 0.0, 5.0, 0, 0, False)
>>> [enforcer.check(call, BudgetPolicy(max_cost=5)).allowed for _ in range(2)]
[True, True]
>>> _ = [tracker.record("m", 0, 0, 5) for _ in range(2)]
>>> tracker.get_spend("monthly")
10.0
"""

import warnings

from adapting import units, within
from llm_budget.enforcer import BudgetEnforcer, BudgetPolicy
from llm_budget.estimator import EstimationResult
from llm_budget.exceptions import BudgetExceeded
from llm_budget.tracker import Tracker

from capsound.adapter import Adapter, Gate

warnings.simplefilter("ignore", UserWarning)  # it warns from 80 % on


class EnforcerAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    window = "day"
    refused = (BudgetExceeded,)
    rejected = (ValueError,)

    def open(self, cap: int) -> tuple[Tracker, BudgetPolicy]:
        """Make a database in memory."""
        return Tracker(":memory:"), BudgetPolicy(max_cost=within(cap), period="daily")

    def check(self, scope: tuple[Tracker, BudgetPolicy], amount: int) -> bool:
        """Ask whether the estimate fits."""
        call = EstimationResult("m", "p", 0, 0, amount, 0.0, amount, 0, 0, False)
        return BudgetEnforcer(scope[0]).check(call, scope[1]).allowed

    def record(self, scope: tuple[Tracker, BudgetPolicy], amount: int) -> None:
        """Add what was used."""
        scope[0].record("m", 0, 0, amount)

    def spent(self, scope: tuple[Tracker, BudgetPolicy]) -> int:
        """Return what was added."""
        return units(scope[0].get_spend("daily"))
