"""autogen-agentchat 0.7.5: ``TokenUsageTermination`` adds the usage of messages, and stops a team once it has enough.

It is not asked before a call, so that the last one may cost anything:

>>> import asyncio
>>> async def after(*tokens):
...     limit = TokenUsageTermination(max_total_token=5)
...     return [(await limit([said(count)])) is not None for count in tokens]
>>> asyncio.run(after(4, 9))
[False, True]
"""

from autogen_agentchat.base import TerminatedException
from autogen_agentchat.conditions import TokenUsageTermination
from autogen_agentchat.messages import TextMessage
from autogen_core.models import RequestUsage

from capsound.adapter import Adapter, Gate


def said(tokens: int) -> TextMessage:
    """Return a message whose model used so many tokens."""
    return TextMessage(content="", source="agent", models_usage=RequestUsage(prompt_tokens=tokens, completion_tokens=0))


class TokensAdapter(Adapter):
    """Ask whether the team has been stopped, speak, add. One unit is a token."""

    gate = Gate.CHECK
    refused = (TerminatedException,)

    def open(self, cap: int) -> TokenUsageTermination:
        """Make the condition of one team."""
        return TokenUsageTermination(max_total_token=cap)

    def check(self, scope: TokenUsageTermination, amount: int) -> bool:  # noqa: ARG002 - it is not asked what a call costs
        """Ask whether it goes on."""
        return not scope.terminated

    async def record(self, scope: TokenUsageTermination, amount: int) -> None:
        """Add the usage of a message; what comes after the end raises, and is not added."""
        await scope([said(amount)])

    def spent(self, scope: TokenUsageTermination) -> int:
        """Return the tokens of all messages."""
        return scope._total_token_count  # noqa: SLF001
