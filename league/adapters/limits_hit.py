"""limits 5.8.0: ``FixedWindowRateLimiter.hit`` counts a cost in a window if it fits.

What a request cost in the end cannot be told, so that the cost has to be an upper bound:

>>> from limits import RateLimitItemPerYear
>>> from limits.storage import MemoryStorage
>>> from limits.strategies import FixedWindowRateLimiter
>>> limiter, limit = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerYear(5, 100)
>>> limiter.hit(limit, "job", cost=4), limiter.get_window_stats(limit, "job").remaining
(True, 1)

Two requests of three, when only one fits: what was refused is counted too, and the window is full.

>>> limiter, limit = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerYear(5, 100)
>>> [limiter.hit(limit, "job", cost=3) for _ in range(2)], limiter.hit(limit, "job", cost=1)
([True, False], False)
"""

from typing import Any

from limits import RateLimitItemPerYear
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from capsound.adapter import Adapter, Gate, Refused


class WindowAdapter(Adapter):
    """A limit per window as a budget, within one window. One unit is a token."""

    gate = Gate.CHARGE
    rejected = (ValueError,)

    def open(self, cap: int) -> Any:
        """Make a limiter with storage in memory."""
        return FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerYear(cap, 100)

    def charge(self, scope: Any, amount: int) -> None:
        """Count the estimate."""
        if not scope[0].hit(scope[1], "job", cost=amount):
            raise Refused("the window is full")

    def remaining(self, scope: Any) -> int:
        """Return what the window has room for; what was refused has taken its room as well."""
        return scope[0].get_window_stats(scope[1], "job").remaining
