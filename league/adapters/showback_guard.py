"""showback 0.2.0: ``BudgetGuard.check`` raises once the ledger has reached the budget.

It is not asked what the next call costs, and calls that were admitted before are still made:

>>> from showback import BudgetGuard, PricingTable, SpendTracker
>>> tracker = SpendTracker(PricingTable.from_dict({"unit": {"input": 1_000_000, "output": 0}}))
>>> guard = BudgetGuard(5, tracker)
>>> guard.check(), guard.check()
(None, None)
>>> for dollars in (4, 9):
...     _ = tracker.record_llm("unit", dollars, 0)
>>> guard.spent_usd, guard.remaining_usd
(13.0, 0.0)
"""

from adapting import units, within
from showback import BudgetExceeded, BudgetGuard, PricingTable, SpendTracker

from capsound.adapter import Adapter, Gate


class GuardAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    refused = (BudgetExceeded,)
    rejected = (ValueError,)

    def open(self, cap: int) -> BudgetGuard:
        """Make a guard with a ledger of its own."""
        return BudgetGuard(
            within(cap), SpendTracker(PricingTable.from_dict({"unit": {"input": 1_000_000, "output": 0}}))
        )

    def check(self, scope: BudgetGuard, amount: int) -> bool:  # noqa: ARG002 - it is not asked what the call costs
        """Ask whether anything is left."""
        scope.check()
        return True

    def record(self, scope: BudgetGuard, amount: int) -> None:
        """Record what was used."""
        scope.tracker.record_llm("unit", amount, 0)

    def spent(self, scope: BudgetGuard) -> int:
        """Return what was recorded."""
        return units(scope.spent_usd)
