"""smolagents 1.26.0: ``max_steps`` of an agent whose model asks for one more tool in every step.

The steps are those of the loop; once they are used up, the model is called once more, for the final answer:

>>> calls = []
>>> _ = StepsAdapter().loop(3)(lambda: calls.append(1))
>>> len(calls)
4
"""

from collections.abc import Callable
from typing import Any

from adapting import RunAdapter
from smolagents import ChatMessage, LogLevel, MessageRole, Model, ToolCallingAgent, tool
from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction


@tool
def step() -> str:
    """Do a step."""
    return "done"


class Asking(Model):
    """A model that calls the tool whenever it is called."""

    called: Callable[[], None]

    def generate(self, *_: Any, **__: Any) -> ChatMessage:
        """Count a call."""
        self.called()
        call = ChatMessageToolCall(ChatMessageToolCallFunction(arguments={}, name="step"), id="1", type="function")
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])


class StepsAdapter(RunAdapter):
    """One unit is a call of the model."""

    zero_is_unlimited = True  # 0 stands for the default, 20

    def loop(self, cap: int) -> Callable[[Callable[[], None]], Any]:
        """Return a run with so many steps."""

        def run(called: Callable[[], None]) -> Any:
            model = Asking()
            model.called = called
            return ToolCallingAgent([step], model, max_steps=cap, verbosity_level=LogLevel.OFF).run("go")

        return run
