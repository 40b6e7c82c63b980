"""The cure for a framework on openai's client: room is held for each request, at the place where it leaves.

    budget = Budget(CAP)
    client = AsyncOpenAI(http_client=HoldingClient(budget))

Whatever stands above (retries, tools, sub-agents, streams) is counted, because nothing goes around it. A refusal is a
402, which clients do not repeat. Amounts are in nano-dollars, at the prices of gpt-4o.
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import openai

from capsound_reference import Budget, BudgetRefused

CAP = 100_000_000  # 0.10 dollars
INPUT, OUTPUT = 2_500, 10_000  # for one token: 2.50 and 10 dollars a million
LIMIT = 4_000  # max_tokens of each call: 0.04 dollars
QUESTIONS = ["Where shall we go?", "How do we get there?", "What does it cost?"]
CURED = "cured" in sys.argv[1:]

Base = openai.DefaultAsyncHttpxClient
http = sys.modules[Base.__mro__[1].__module__]  # httpx or httpx2, whichever this openai is made for


def most(text: str, limit: int = LIMIT) -> int:
    """Return the most that a request can cost: no token of its text is shorter than a byte."""
    return len(text.encode()) * INPUT + limit * OUTPUT


def cost(usage: Any) -> int:
    """Return what the usage of an answer costs."""
    return usage.prompt_tokens * INPUT + usage.completion_tokens * OUTPUT


def told(answer: dict[str, Any]) -> int | None:
    """Return what an answer, or the last part of a stream, says that it costs: of chat completions, or of Responses."""
    usage = (answer.get("response") or answer).get("usage")
    if not usage:
        return None
    read = usage.get("prompt_tokens", usage.get("input_tokens"))
    written = usage.get("completion_tokens", usage.get("output_tokens"))
    return None if read is None or written is None else int(read * INPUT + written * OUTPUT)


class HoldingClient(Base):  # type: ignore[misc, valid-type]
    """An HTTP client that holds room in a budget for each request, and lets go of it only when the usage is told."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request for which there is room; refuse any other with 402."""
        asked = json.loads(request.content)
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens") or asked.get("max_output_tokens")
        if limit is None:  # nothing bounds its bill
            return http.Response(402, json={"error": {"message": "set max_tokens"}}, request=request)
        request.headers["accept-encoding"] = "identity"
        try:
            hold = self.budget.reserve(most(request.content.decode(), limit))
        except BudgetRefused as refused:
            return http.Response(402, json={"error": {"message": str(refused)}}, request=request)
        hold.sent()
        try:
            response = await super().send(request, **options)
        except BaseException:  # a cancellation too: it may have been billed
            hold.forfeit()
            raise
        if asked.get("stream") and response.status_code == 200:
            response.stream = _Counted(response.stream, hold)
            return response
        await response.aread()
        _settle(hold, told(response.json()) if response.status_code == 200 else None)
        return response


class _Counted(http.AsyncByteStream):  # type: ignore[name-defined, misc]
    """A stream that settles its hold when it is closed: by its usage, and where that never came by all of it."""

    def __init__(self, inner: Any, hold: Any) -> None:
        self.inner, self.hold, self.read = inner, hold, b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self.inner:
            self.read += part
            yield part

    async def aclose(self) -> None:
        await self.inner.aclose()
        if self.hold.state == "sent":
            lines = [line[6:] for line in self.read.splitlines() if line.startswith(b"data: {")]
            _settle(self.hold, told(json.loads(lines[-1])) if lines and self.read.endswith(b"\n\n") else None)


def _settle(hold: Any, amount: int | None) -> None:
    if amount is None:
        hold.forfeit()
    else:
        hold.settle(amount)
