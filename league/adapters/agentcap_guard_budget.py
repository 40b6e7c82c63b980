"""agentcap-guard 0.1.0: ``BudgetGuard`` compares an estimate with what is left, and adds the usage afterwards.

Two calls at once are both asked for before either is recorded:

>>> guard = GuardAdapter().open(5)
>>> [guard.check("unit", max_output_tokens=5 * DOLLAR).allowed for _ in range(2)]
[True, True]
>>> _ = [guard.record_usage("unit", 0, 5 * DOLLAR) for _ in range(2)]
>>> guard.spent_usd
10.0
"""

from adapting import units, within
from agentcap import BudgetGuard
from agentcap.audit import AuditLog
from agentcap.breaker import AgentCapError
from agentcap.pricing import ModelPrice, PricingTable

from capsound.adapter import Adapter, Gate, Rejected

DOLLAR = 1_000_000
"""So many output tokens cost a dollar: it divides by a million before it multiplies, which is exact for these alone."""


class NoFile(AuditLog):
    """Writes nothing."""

    __init__ = write = lambda *_: None  # type: ignore[assignment]


class GuardAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    refused = (AgentCapError,)
    rejected = (ValueError,)

    def open(self, cap: int) -> BudgetGuard:
        """Make the guard of one run."""
        return BudgetGuard(within(cap), pricing=PricingTable({"unit": ModelPrice(0, 1)}), audit=NoFile())

    def check(self, scope: BudgetGuard, amount: int) -> bool:
        """Ask whether the estimate fits. Where it does not, every later call is refused as well."""
        if amount == 0:
            raise Rejected("0 stands for the default, 1,024 tokens")
        return scope.check("unit", max_output_tokens=amount * DOLLAR).allowed

    def record(self, scope: BudgetGuard, amount: int) -> None:
        """Add what was used."""
        scope.record_usage("unit", 0, amount * DOLLAR)

    def spent(self, scope: BudgetGuard) -> int:
        """Return what was added."""
        return units(scope.spent_usd)
