"""pydantic-ai-slim 2.68.0: ``UsageLimits``, with a ``RunUsage`` that agents may share.

Token limits "are checked after each response": at the limit, the next request is let through.

>>> limits, usage = UsageLimits(total_tokens_limit=5, request_limit=None), RunUsage()
>>> usage.incr(RequestUsage(input_tokens=5))
>>> limits.check_tokens(usage), limits.check_before_request(usage)
(None, None)
>>> usage.incr(RequestUsage(input_tokens=5))
>>> try:
...     limits.check_tokens(usage)
... except UsageLimitExceeded as late:
...     print(str(late).partition(". ")[0])
Exceeded the total_tokens_limit of 5 (total_tokens=10)
"""

from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

from capsound.adapter import Adapter, Gate


class TokensAdapter(Adapter):
    """The steps of a run, as an agent does them. One unit is a token."""

    gate = Gate.CHECK
    refused = (UsageLimitExceeded,)

    def open(self, cap: int) -> tuple[UsageLimits, RunUsage]:
        """Set a limit on tokens, and lift that on requests."""
        return UsageLimits(total_tokens_limit=cap, request_limit=None), RunUsage()

    def check(self, scope: tuple[UsageLimits, RunUsage], amount: int) -> bool:  # noqa: ARG002 - the cost is not asked
        """Ask before a request."""
        scope[0].check_before_request(scope[1])
        return True

    def record(self, scope: tuple[UsageLimits, RunUsage], amount: int) -> None:
        """Add the usage of the response, and check then."""
        scope[1].incr(RequestUsage(input_tokens=amount))
        scope[0].check_tokens(scope[1])

    def spent(self, scope: tuple[UsageLimits, RunUsage]) -> int:
        """Return the tokens of all responses."""
        return scope[1].total_tokens
