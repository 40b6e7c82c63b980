"""agentguard-enforce 0.1.0: ``BudgetTracker`` is asked before a call and told after it, each under a lock.

Two calls at once are both asked for before either is recorded:

>>> from agentguard.core.budget import BudgetTracker
>>> tracker = BudgetTracker(max_tokens=5)
>>> [tracker.check_pre_call(5, "gpt-4o").is_breach for _ in range(2)]
[False, False]
>>> _ = [tracker.record_call(5, 0, "gpt-4o") for _ in range(2)]
>>> tracker.tokens_used
10
"""

from agentguard.core.budget import BudgetTracker

from capsound.adapter import Adapter, Gate


class TrackerAdapter(Adapter):
    """Ask, call, record. One unit is an input token; it is not asked for output tokens."""

    gate = Gate.CHECK

    def open(self, cap: int) -> BudgetTracker:
        """Make a tracker with a limit on tokens."""
        return BudgetTracker(max_tokens=cap)

    def check(self, scope: BudgetTracker, amount: int) -> bool:
        """Ask whether the prompt fits."""
        return not scope.check_pre_call(amount, "gpt-4o").is_breach

    def record(self, scope: BudgetTracker, amount: int) -> None:
        """Count what was used."""
        scope.record_call(amount, 0, "gpt-4o")

    def spent(self, scope: BudgetTracker) -> int:
        """Return the tokens that were recorded."""
        return scope.tokens_used
