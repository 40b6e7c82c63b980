"""budget-guard-agents 0.2.0: ``BudgetGuard`` is asked before a call and told after it.

"Concurrency is check-then-act", says its README: two calls at once are both asked for before either is recorded.

>>> from budgetguard import BudgetGuard, BudgetPolicy
>>> guard = BudgetGuard()
>>> _ = guard.open("job", BudgetPolicy(max_tokens=5))
>>> [guard.check("job", est_input_tokens=5).allowed for _ in range(2)]
[True, True]
>>> [guard.record("job", input_tokens=5).tokens for _ in range(2)]
[5, 10]
"""

from budgetguard import BudgetExceeded, BudgetGuard, BudgetPolicy

from capsound.adapter import Adapter, Gate


class TaskAdapter(Adapter):
    """Ask, call, record. One unit is a token."""

    gate = Gate.CHECK
    refused = (BudgetExceeded,)
    rejected = (ValueError,)
    zero_is_unlimited = True  # a cap of 0 is rejected

    def open(self, cap: int) -> BudgetGuard:
        """Make a guard of one task."""
        guard = BudgetGuard()
        guard.open("job", BudgetPolicy(max_tokens=cap))
        return guard

    def check(self, scope: BudgetGuard, amount: int) -> bool:
        """Ask whether the estimate fits."""
        return scope.check("job", est_input_tokens=amount).allowed

    def record(self, scope: BudgetGuard, amount: int) -> None:
        """Count what was used, also above the cap."""
        scope.record("job", input_tokens=amount)

    def spent(self, scope: BudgetGuard) -> int:
        """Return the tokens that were recorded."""
        tokens: int = scope.status("job")["tokens"]
        return tokens
