"""token-throttle 14.0.0: a capacity is acquired before a call, and what was not used is refunded after it.

A call that fails keeps its capacity unless one says what it used; one that used more than it had acquired is noted:

>>> limiter = LimiterAdapter().open(5)
>>> held = limiter.acquire_capacity({"tokens": 3}, "m", timeout=0)
>>> limiter.refund_capacity({"tokens": 1}, held)
>>> held = limiter.acquire_capacity({"tokens": 4}, "m", timeout=0)
"""

from typing import Any

from adapting import within
from token_throttle import PerModelConfig, Quota, SyncMemoryBackendBuilder, SyncRateLimiter, UsageQuotas

from capsound.adapter import Adapter, Rejected

YEARS = 10**9


class LimiterAdapter(Adapter):
    """A rate as a budget: so many tokens in thirty years. One unit is a token."""

    refused = (TimeoutError,)
    rejected = (ValueError, TypeError)
    zero_is_unlimited = True  # a quota is above 0

    def open(self, cap: int) -> SyncRateLimiter:
        """Make a limiter in memory."""
        quotas = UsageQuotas([Quota(metric="tokens", limit=within(cap), per_seconds=YEARS)])
        return SyncRateLimiter(PerModelConfig(quotas=quotas, model_family="m"), backend=SyncMemoryBackendBuilder())

    def reserve(self, scope: SyncRateLimiter, amount: int) -> Any:
        """Acquire an estimate."""
        if amount == 0:
            raise Rejected("who asks for nothing is always let through")
        return scope, scope.acquire_capacity({"tokens": amount}, "m", timeout=0)

    def settle(self, hold: Any, actual: int) -> None:
        """Refund what was not used."""
        hold[0].refund_capacity({"tokens": actual}, hold[1])

    def forfeit(self, hold: Any) -> None:
        """Keep what was acquired, as ``reserve`` does where a call fails."""
        hold[0].refund_capacity(hold[1].get_usage(), hold[1])
