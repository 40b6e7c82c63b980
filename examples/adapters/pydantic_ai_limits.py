"""pydantic-ai-slim 2.68.0: its ``UsageLimits``, with one ``RunUsage`` that several agents share.

An agent run asks ``check_before_request``, makes the request, adds the usage of the response to the ``RunUsage``, and
asks ``check_tokens``. A run that is given ``usage=`` counts in there, beside others. ``LimitsAdapter`` does these steps
with ``total_tokens_limit``. ``CountedLimitsAdapter`` does them with ``count_tokens_before_request``: the request is
counted into a copy before it is sent.

What the check finds, once more without it:

>>> from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

*The limit is reached, and the next request is let through.* Nothing is left, and any request costs something. That
tokens are checked after each response is documented.

>>> limits, shared = UsageLimits(total_tokens_limit=5), RunUsage()
>>> shared.incr(RequestUsage(input_tokens=5))
>>> limits.check_tokens(shared)
>>> limits.check_before_request(shared)

*The request that crosses the limit is refused after it was paid.*

>>> shared.incr(RequestUsage(input_tokens=5))
>>> try:
...     limits.check_tokens(shared)
... except Exception as refused:
...     print(str(refused).partition(". ")[0])
Exceeded the total_tokens_limit of 5 (total_tokens=10)

*Two runs at once, each request counted first.* Neither has been added yet, and both fit.

>>> from copy import deepcopy
>>> limits, shared = UsageLimits(input_tokens_limit=5, count_tokens_before_request=True), RunUsage()
>>> for _ in range(2):
...     counted = deepcopy(shared)
...     counted.incr(RequestUsage(input_tokens=5))
...     limits.check_before_request(counted)
>>> shared.incr(RequestUsage(input_tokens=5))
>>> shared.incr(RequestUsage(input_tokens=5))
>>> shared.input_tokens
10

*The same with real runs.* ``request_limit`` is exact for one run (``requests >= limit``), and two that overlap pass it:

>>> import asyncio
>>> from pydantic_ai import Agent
>>> from pydantic_ai.messages import ModelResponse, TextPart
>>> from pydantic_ai.models.function import FunctionModel
>>> async def reply(messages, info):
...     await asyncio.sleep(0)  # the provider
...     return ModelResponse(parts=[TextPart("done")])
>>> async def two_runs():
...     shared, limits = RunUsage(), UsageLimits(request_limit=1)
...     agent = Agent(FunctionModel(reply))
...     await asyncio.gather(*(agent.run("go", usage=shared, usage_limits=limits) for _ in range(2)))
...     return shared.requests
>>> asyncio.run(two_runs())
2

*NaN as usage.* It is not above the limit. From then on everything fits.

>>> limits, shared = UsageLimits(total_tokens_limit=5), RunUsage()
>>> shared.incr(RequestUsage(input_tokens=float("nan")))
>>> shared.incr(RequestUsage(input_tokens=1_000_000))
>>> limits.check_before_request(shared)
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

from capsound.adapter import Adapter, Gate


@dataclass(frozen=True)
class Shared:
    """The limits of some agents, and the usage that they share."""

    limits: UsageLimits
    usage: RunUsage = field(default_factory=RunUsage)


class LimitsAdapter(Adapter):
    """The steps of a run, as an agent does them. One unit is a token."""

    gate = Gate.CHECK
    refused = (UsageLimitExceeded,)

    def open(self, cap: int) -> Shared:
        """Set a limit on tokens, and lift that on requests: it is another cap, in another unit."""
        return Shared(UsageLimits(total_tokens_limit=cap, request_limit=None))

    def check(self, scope: Shared, amount: int) -> bool:  # noqa: ARG002 - what the request will cost is not asked
        """Ask before a request; raises UsageLimitExceeded where the usage so far is above the limit."""
        scope.limits.check_before_request(scope.usage)
        return True

    def record(self, scope: Shared, amount: int) -> None:
        """Count first and check then: what is refused here was used, and is on the books."""
        scope.usage.incr(RequestUsage(input_tokens=amount))
        scope.limits.check_tokens(scope.usage)

    def spent(self, scope: Shared) -> int:
        """Return the tokens of all responses."""
        return scope.usage.total_tokens

    def remaining(self, scope: Shared) -> int:
        """Return the limit without the usage; the library tells the two."""
        limit = scope.limits.total_tokens_limit
        assert limit is not None
        return limit - scope.usage.total_tokens


class CountedLimitsAdapter(LimitsAdapter):
    """The same with ``count_tokens_before_request``: a request is counted before it is sent."""

    def open(self, cap: int) -> Shared:
        """Set a limit on input tokens: no others can be counted before there is a response."""
        return Shared(UsageLimits(input_tokens_limit=cap, request_limit=None, count_tokens_before_request=True))

    def check(self, scope: Shared, amount: int) -> bool:
        """Count the request into a copy, and compare that with the limit."""
        scope.limits.check_before_request(scope.usage)
        counted = deepcopy(scope.usage)
        counted.incr(RequestUsage(input_tokens=amount))
        scope.limits.check_before_request(counted)
        return True

    def remaining(self, scope: Shared) -> int:
        """Return the same for input tokens."""
        limit = scope.limits.input_tokens_limit
        assert limit is not None
        return limit - scope.usage.input_tokens
