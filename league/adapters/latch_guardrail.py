"""latch-idempotent 0.4.1: ``BudgetGuardrail.check_and_record`` adds the price of a call before it, under a lock.

What a call cost in the end is not told, so that the price has to be an upper bound:

>>> from latch import BudgetGuardrail
>>> from latch.exceptions import BudgetExceededError
>>> guardrail = BudgetGuardrail(max_cost=5)
>>> guardrail.check_and_record(4)
>>> try:
...     guardrail.check_and_record(2)
... except BudgetExceededError:
...     print(guardrail.total_cost)
4.0
"""

import latch.budget
from adapting import units, within
from latch import BudgetGuardrail
from latch.exceptions import BudgetExceededError

from capsound.adapter import Adapter, Gate


class GuardrailAdapter(Adapter):
    """Charge before the call. One unit is a dollar."""

    gate = Gate.CHARGE
    refused = (BudgetExceededError,)
    rejected = (ValueError,)
    threads = True  # "Thread-safe"
    files = (latch.budget.__file__,)

    def open(self, cap: int) -> BudgetGuardrail:
        """Make a guardrail without a window."""
        return BudgetGuardrail(max_cost=within(cap))

    def charge(self, scope: BudgetGuardrail, amount: int) -> None:
        """Check and add at once."""
        scope.check_and_record(amount)

    def spent(self, scope: BudgetGuardrail) -> int:
        """Return what was added."""
        return units(scope.total_cost)
