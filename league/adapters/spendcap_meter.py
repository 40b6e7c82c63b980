"""spendcap 0.1.0: ``Meter`` is asked before a call and told after it, as its wrapped clients do.

The cap counts as kept until it is spent, so that the last call may cost anything, and two at once both pass:

>>> from spendcap import Budget, BudgetExceededError, Meter, register_model
>>> register_model("unit", 1_000_000, 1_000_000)  # a token costs a dollar
>>> meter = Meter(Budget(usd=5, on_warn=lambda spent, cap: None))
>>> meter.check(), meter.check()
(None, None)
>>> for cost in (4, 9):
...     try:
...         _ = meter.record("unit", input_tokens=cost)
...     except BudgetExceededError as late:
...         print(late)
spendcap: meter budget exceeded (spent $13.0000 of $5.00 cap)
"""

from adapting import units, within
from spendcap import Budget, BudgetExceededError, Meter, register_model

from capsound.adapter import Adapter, Gate


class MeterAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    refused = (BudgetExceededError,)

    def open(self, cap: int) -> Meter:
        """Make a meter with a hard budget."""
        register_model("unit", 1_000_000, 1_000_000)
        return Meter(Budget(usd=within(cap), on_warn=lambda *_: None))

    def check(self, scope: Meter, amount: int) -> bool:  # noqa: ARG002 - it is not asked what the call will cost
        """Ask before a call; raises where the cap is spent."""
        scope.check()
        return True

    def record(self, scope: Meter, amount: int) -> None:
        """Count what was used; the error that is raised once the cap is crossed comes after that."""
        scope.record("unit", input_tokens=amount)

    def spent(self, scope: Meter) -> int:
        """Return the dollars that were recorded."""
        return units(scope.spent)
