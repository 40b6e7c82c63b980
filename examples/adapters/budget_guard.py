"""budget-guard-agents 0.2.0: its ``BudgetGuard``, which is asked before a call and told after it.

``GuardAdapter`` does what the quickstart does, with a cap in tokens: ``check``, make the call, ``record``.

What the check finds, once more without it:

>>> from budgetguard import BudgetExceeded, BudgetGuard, BudgetPolicy

*Two calls at once.* Both are asked for before either is recorded: 10 tokens are used under a cap of 5. The README says
so ("Concurrency is check-then-act"), and that one call at a time keeps the cap.

>>> guard = BudgetGuard()
>>> _ = guard.open("job", BudgetPolicy(max_tokens=5))
>>> guard.check("job", est_input_tokens=5).allowed
True
>>> guard.check("job", est_input_tokens=5).allowed  # another task, before the first has recorded
True
>>> _ = guard.record("job", input_tokens=5)
>>> guard.record("job", input_tokens=5).tokens
10

One after the other, the second is refused:

>>> guard = BudgetGuard()
>>> _ = guard.open("job", BudgetPolicy(max_tokens=5))
>>> _ = guard.record("job", input_tokens=5)
>>> guard.check("job", est_input_tokens=5, enforce=False).reason
'token cap exceeded (10 > 5)'

*NaN as a cap.* Token counts are checked for it, caps are not: it passes "must be positive", and no total is above it.

>>> guard = BudgetGuard()
>>> _ = guard.open("job", BudgetPolicy(max_tokens=float("nan")))
>>> _ = guard.record("job", input_tokens=1_000_000)
>>> guard.check("job", est_input_tokens=1_000_000).allowed
True
"""

from __future__ import annotations

from dataclasses import dataclass

import budgetguard.guard
from budgetguard import BudgetExceeded, BudgetGuard, BudgetPolicy

from capsound.adapter import Adapter, Gate


@dataclass(frozen=True)
class Task:
    """A task of a guard, by its name."""

    guard: BudgetGuard
    name: str = "task"


class GuardAdapter(Adapter):
    """Ask, call, record. One unit is a token; calls carry no signature, so that loop detection is not in the way."""

    gate = Gate.CHECK
    refused = (BudgetExceeded,)
    rejected = (ValueError,)  # a cap that is not positive, a token count that is no number
    threads = True  # "`check` and `record` are individually safe"
    files = (budgetguard.guard.__file__,)

    def open(self, cap: int) -> Task:
        """Make a guard for each root. A cap of 0 is rejected."""
        task = Task(BudgetGuard())
        task.guard.open(task.name, BudgetPolicy(max_tokens=cap))
        return task

    def check(self, scope: Task, amount: int) -> bool:
        """Ask whether ``amount`` fits beside what was recorded; raises BudgetExceeded where it does not."""
        return scope.guard.check(scope.name, est_input_tokens=amount).allowed

    def record(self, scope: Task, amount: int) -> None:
        """Count what was used, also above the cap."""
        scope.guard.record(scope.name, input_tokens=amount)

    def spent(self, scope: Task) -> int:
        """Return the tokens that were recorded."""
        tokens: int = scope.guard.status(scope.name)["tokens"]
        return tokens

    def remaining(self, scope: Task) -> int:
        """Return the cap without what was recorded."""
        tokens: int = scope.guard.status(scope.name)["remaining"]["tokens"]
        return tokens
