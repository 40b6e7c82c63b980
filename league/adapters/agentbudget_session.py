"""agentbudget 0.4.0: a session records what a call cost, and raises where the sum would pass the budget.

The cost that does not fit is not recorded, and there is room for the next call:

>>> from agentbudget import AgentBudget, BudgetExhausted
>>> session = AgentBudget(5).session()
>>> for cost in (4, 9, 1):  # each was billed
...     try:
...         _ = session.track(None, cost=cost)
...     except BudgetExhausted as late:
...         print(late)
Budget exhausted: spent $13.0000 of $5.00 budget
>>> session.spent
5.0
"""

from adapting import units, within
from agentbudget import AgentBudget, BudgetExhausted, InvalidBudget, InvalidCost
from agentbudget.session import BudgetSession

from capsound.adapter import Adapter, Gate


class SessionAdapter(Adapter):
    """Ask ``would_exceed``, call, ``track``. One unit is a dollar."""

    gate = Gate.CHECK
    refused = (BudgetExhausted,)
    rejected = (InvalidBudget, InvalidCost)

    def open(self, cap: int) -> BudgetSession:
        """Open a session."""
        return AgentBudget(within(cap)).session()

    def check(self, scope: BudgetSession, amount: int) -> bool:
        """Ask whether the cost would pass the budget."""
        return not scope.would_exceed(amount)

    def record(self, scope: BudgetSession, amount: int) -> None:
        """Record the cost; raises where it does not fit."""
        scope.track(None, cost=amount)

    def spent(self, scope: BudgetSession) -> int:
        """Return what was recorded."""
        return units(scope.spent)

    def remaining(self, scope: BudgetSession) -> int:
        """Return the budget without it."""
        return units(scope.remaining)
