"""agentbudget 0.4.0: a child session has a budget of its own, and its total is charged to the parent when it ends.

What it may spend is not set aside, so that each child may spend all of it; a total that no longer fits is not recorded:

>>> from agentbudget import AgentBudget, BudgetExhausted
>>> parent = AgentBudget(5).session()
>>> children = [parent.child_session(5) for _ in range(2)]
>>> for child in children:
...     try:
...         with child:
...             child.track(None, cost=4)  # billed
...     except BudgetExhausted as late:
...         print(late)
Budget exhausted: spent $8.0000 of $5.00 budget
>>> parent.spent, parent.remaining
(4.0, 1.0)
"""

from adapting import units
from agentbudget.session import BudgetSession
from agentbudget_session import SessionAdapter

from capsound.adapter import Granted


class ChildrenAdapter(SessionAdapter):
    """Sessions that ask, call and track, and have children. One unit is a dollar."""

    def delegate(self, scope: BudgetSession, amount: int) -> Granted:
        """Open a child session, of what is left at most."""
        child = scope.child_session(amount)
        return Granted(child, units(child.remaining))

    def close(self, scope: BudgetSession) -> None:
        """End a session: its parent is charged."""
        scope.__exit__(None, None, None)
