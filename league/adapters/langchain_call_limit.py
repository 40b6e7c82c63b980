"""langchain 1.5.2: ``ModelCallLimitMiddleware`` is asked before each call of the model, and counts after it.

In one run calls follow each other, and the limit is exact:

>>> from langchain.agents import create_agent
>>> from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
>>> from langchain_core.messages import AIMessage
>>> call = {"name": "step", "args": {}, "id": "1"}
>>> model = GenericFakeChatModel(messages=iter([AIMessage("", tool_calls=[call])] * 9))
>>> GenericFakeChatModel.bind_tools = lambda self, *_, **__: self
>>> def step():
...     "Do a step."
>>> try:
...     create_agent(model, [step], middleware=[ModelCallLimitMiddleware(run_limit=3, exit_behavior="error")]).invoke(
...         {"messages": []})
... except ModelCallLimitExceededError as refused:
...     print(refused, len(list(model.messages)))
Model call limits exceeded: run limit (3/3) 6
"""

from typing import Any

from adapting import one
from langchain.agents.middleware import ModelCallLimitMiddleware
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError

from capsound.adapter import Adapter, Gate


class LimitAdapter(Adapter):
    """The hooks, as a run calls them: one call after the other. One unit is a call of the model that was answered."""

    gate = Gate.CHARGE
    refused = (ModelCallLimitExceededError,)
    zero_is_unlimited = True  # a run without a call is not tried

    def open(self, cap: int) -> tuple[ModelCallLimitMiddleware[Any], dict[str, Any]]:
        """Make the middleware and the state of a run."""
        return ModelCallLimitMiddleware(run_limit=cap, exit_behavior="error"), {}

    def charge(self, scope: tuple[Any, dict[str, Any]], amount: int) -> None:
        """Make a call, and have it answered."""
        one(amount)
        limit, state = scope
        limit.before_model(state, None)
        state.update(limit.after_model(state, None))

    def spent(self, scope: tuple[Any, dict[str, Any]]) -> int:
        """Return the calls of the run."""
        count: int = scope[1].get("run_model_call_count", 0)
        return count
