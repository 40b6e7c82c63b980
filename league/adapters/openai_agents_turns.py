"""openai-agents 0.24.0: ``max_turns`` of a run whose model asks for one more tool in every turn.

Every turn is a call of the model, and is counted before it:

>>> from agents import MaxTurnsExceeded
>>> calls = []
>>> try:
...     TurnsAdapter().loop(3)(lambda: calls.append(1))
... except MaxTurnsExceeded as refused:
...     print(refused, len(calls))
Max turns (3) exceeded 3
"""

import asyncio
from collections.abc import Callable
from typing import Any

from adapting import RunAdapter
from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall

set_tracing_disabled(True)
TOOL = function_tool(lambda: "done", name_override="step")


class Asking(Model):
    """A model that calls the tool whenever it is called."""

    called: Callable[[], None]

    async def get_response(self, *_: Any, **__: Any) -> ModelResponse:
        """Count a call."""
        self.called()
        call = ResponseFunctionToolCall(type="function_call", call_id="1", name="step", arguments="{}")
        return ModelResponse(output=[call], usage=Usage(), response_id=None)

    stream_response = None  # type: ignore[assignment] # not asked for


class TurnsAdapter(RunAdapter):
    """One unit is a call of the model."""

    zero_is_unlimited = True  # a run without a call is not tried

    def loop(self, cap: int) -> Callable[[Callable[[], None]], Any]:
        """Return a run with so many turns."""

        def run(called: Callable[[], None]) -> Any:
            model = Asking()
            model.called = called
            return asyncio.run(Runner.run(Agent("agent", tools=[TOOL], model=model), "go", max_turns=cap))

        return run
