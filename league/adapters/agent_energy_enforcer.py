"""agent-energy-budget 0.2.0: ``BudgetEnforcer`` reserves under a lock, then confirms or releases.

"If the call fails or is cancelled, the reservation is released", although the provider may have billed it:

>>> from agent_energy_budget.enforcement import BudgetEnforcer, EnforcerConfig
>>> enforcer = BudgetEnforcer(EnforcerConfig(limit_usd=5))
>>> hold = enforcer.check_and_reserve(5).reservation_id  # billed 5, and then the connection times out
>>> enforcer.release(hold)
5
>>> enforcer.check_and_reserve(5).allowed  # billed 10 by now
True
"""

from adapting import guarded, units, within
from agent_energy_budget.enforcement import BudgetEnforcer, EnforcerConfig

from capsound.adapter import Adapter, Gate, Provider, Refused


class EnforcerAdapter(Adapter):
    """A whole call, as the module describes it. One unit is a dollar."""

    gate = Gate.CALL
    rejected = (ValueError,)  # a limit that is not positive, an amount below zero

    def open(self, cap: int) -> BudgetEnforcer:
        """Make an enforcer without room to overrun."""
        return BudgetEnforcer(EnforcerConfig(limit_usd=within(cap)))

    async def call(self, scope: BudgetEnforcer, estimate: int, provider: Provider) -> None:
        """Reserve, send, confirm; release where the call fails or is cancelled."""
        result = scope.check_and_reserve(estimate)
        if not result.allowed:
            raise Refused(result.rejection_reason)
        hold = result.reservation_id
        await guarded(provider, lambda: scope.release(hold), lambda cost: scope.confirm(hold, cost))

    def spent(self, scope: BudgetEnforcer) -> int:
        """Return what was confirmed."""
        return units(scope.status().spent_usd)

    def held(self, scope: BudgetEnforcer) -> int:
        """Return what is reserved."""
        return units(scope.status().reserved_usd)

    def remaining(self, scope: BudgetEnforcer) -> int:
        """Return the limit without both."""
        return units(scope.status().remaining_usd)
