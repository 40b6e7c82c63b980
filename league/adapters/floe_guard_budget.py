"""floe-guard 0.25.2: ``BudgetGuard`` reserves before a call, and settles or releases after it.

Its integrations release on an exception, although the provider may have billed the call:

>>> from floe_guard import BudgetGuard, ManualPrice
>>> guard = BudgetGuard(limit_usd=5)
>>> hold = guard.reserve(5)  # billed 5, and then the connection times out
>>> guard.release(hold)
>>> _ = guard.settle("unit", 5, 0, reserved=guard.reserve(5), price=ManualPrice(1, 1))  # billed 10 by now
>>> guard.spent_usd
5.0
"""

from adapting import guarded, units, within
from floe_guard import BudgetExceeded, BudgetGuard, ManualPrice

from capsound.adapter import Adapter, Gate, Provider


class GuardAdapter(Adapter):
    """A whole call, as the integrations make it. One unit is a dollar; a token costs one."""

    gate = Gate.CALL
    refused = (BudgetExceeded,)
    rejected = (ValueError, TypeError)

    def open(self, cap: int) -> BudgetGuard:
        """Make a guard without sync."""
        return BudgetGuard(limit_usd=within(cap))

    async def call(self, scope: BudgetGuard, estimate: int, provider: Provider) -> None:
        """Reserve, send, settle; release on an exception."""
        hold = scope.reserve(estimate)
        await guarded(
            provider,
            lambda: scope.release(hold),
            lambda cost: scope.settle("unit", cost, 0, reserved=hold, price=ManualPrice(1, 1)),
        )

    def spent(self, scope: BudgetGuard) -> int:
        """Return what was settled."""
        return units(scope.spent_usd)
