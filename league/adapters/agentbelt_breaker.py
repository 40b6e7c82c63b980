"""agentbelt-budget 0.1.1: ``CircuitBreaker`` is open once usage has reached the budget, and closed before.

It is not asked what the next call costs, and calls that were admitted before it opened are still made:

>>> from agentbelt_budget import Budget, CircuitBreaker
>>> breaker = CircuitBreaker(Budget(max_tokens=5))
>>> breaker.check("job"), breaker.check("job")
(None, None)
>>> [breaker.record("job", tokens=4).tokens, breaker.record("job", tokens=9).tokens, breaker.state("job").value]
[4, 13, 'open']
"""

from agentbelt_budget import Budget, BudgetExceeded, CircuitBreaker

from capsound.adapter import Adapter, Gate


class BreakerAdapter(Adapter):
    """Ask, call, record, within one window. One unit is a token."""

    gate = Gate.CHECK
    refused = (BudgetExceeded,)
    zero_is_unlimited = True  # a budget of 0 lets the first call through

    def open(self, cap: int) -> CircuitBreaker:
        """Make a breaker for each root."""
        return CircuitBreaker(Budget(max_tokens=cap))

    def check(self, scope: CircuitBreaker, amount: int) -> bool:  # noqa: ARG002 - it is not asked what the call costs
        """Ask whether the breaker is closed."""
        scope.check("job")
        return True

    def record(self, scope: CircuitBreaker, amount: int) -> None:
        """Count what was used."""
        scope.record("job", tokens=amount)

    def spent(self, scope: CircuitBreaker) -> int:
        """Return the tokens of the window."""
        return scope.store.current("job", scope.budget.window_seconds).tokens
