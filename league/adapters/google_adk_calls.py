"""google-adk 2.13.0: ``max_llm_calls`` is counted and enforced before each call of a model.

A limit of 0 is none, as documented. An agent that is used as a tool has a count of its own.

>>> manager, limit = _InvocationCostManager(), RunConfig(max_llm_calls=3)
>>> for _ in range(3):
...     manager.increment_and_enforce_llm_calls_limit(limit)
>>> try:
...     manager.increment_and_enforce_llm_calls_limit(limit)
... except LlmCallsLimitExceededError as refused:
...     print(refused)
Max number of llm calls limit of `3` exceeded
"""

from adapting import one
from google.adk.agents.invocation_context import LlmCallsLimitExceededError, _InvocationCostManager
from google.adk.agents.run_config import RunConfig

from capsound.adapter import Adapter, Gate


class CallsAdapter(Adapter):
    """The counter of an invocation. One unit is a call of the model."""

    gate = Gate.CHARGE
    refused = (LlmCallsLimitExceededError,)
    zero_is_unlimited = True

    def open(self, cap: int) -> tuple[_InvocationCostManager, RunConfig]:
        """Begin an invocation."""
        return _InvocationCostManager(), RunConfig(max_llm_calls=cap)

    def charge(self, scope: tuple[_InvocationCostManager, RunConfig], amount: int) -> None:
        """Count a call and enforce the limit."""
        one(amount)
        scope[0].increment_and_enforce_llm_calls_limit(scope[1])
