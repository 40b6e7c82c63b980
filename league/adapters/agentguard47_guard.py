"""agentguard47 2.0.0: ``BudgetGuard.consume`` adds what was used, and raises once a limit is passed.

``check`` asks whether anything is left, not whether the next call fits:

>>> from agentguard import BudgetExceeded, BudgetGuard
>>> guard = BudgetGuard(max_tokens=5)
>>> guard.check(), guard.check()
(None, None)
>>> for tokens in (4, 9):
...     try:
...         guard.consume(tokens=tokens)
...     except BudgetExceeded as late:
...         print(late)
Token budget exceeded: 13 > 5 (this call added 9 tokens)
>>> guard.state.tokens_used
13
"""

from agentguard import BudgetExceeded, BudgetGuard

from capsound.adapter import Adapter, Gate


class GuardAdapter(Adapter):
    """Ask, call, consume. One unit is a token."""

    gate = Gate.CHECK
    refused = (BudgetExceeded,)
    rejected = (ValueError, TypeError)

    def open(self, cap: int) -> BudgetGuard:
        """Make a guard in memory."""
        return BudgetGuard(max_tokens=cap)

    def check(self, scope: BudgetGuard, amount: int) -> bool:  # noqa: ARG002 - it is not asked what the call costs
        """Ask whether anything is left."""
        scope.check()
        return True

    def record(self, scope: BudgetGuard, amount: int) -> None:
        """Add what was used; what passes the limit is added as well, and raises."""
        scope.consume(tokens=amount)

    def spent(self, scope: BudgetGuard) -> int:
        """Return the tokens that were added."""
        return scope.state.tokens_used
