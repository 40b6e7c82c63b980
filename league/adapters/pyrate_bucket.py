"""pyrate-limiter 4.5.1: ``Limiter.try_acquire`` takes a weight from a bucket if it fits.

What a request cost in the end cannot be told, so that the weight has to be an upper bound:

>>> from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate
>>> limiter = Limiter(InMemoryBucket([Rate(5, CENTURY)]))
>>> [limiter.try_acquire("job", weight=3, blocking=False) for _ in range(2)]
[True, False]
>>> limiter.try_acquire("job", weight=2, blocking=False)
True
"""

from adapting import within
from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate

from capsound.adapter import Adapter, Gate, Refused

CENTURY = 36_500 * Duration.DAY


class BucketAdapter(Adapter):
    """A rate per century as a budget, within one. One unit is a token."""

    gate = Gate.CHARGE
    rejected = (ValueError, TypeError, AssertionError)
    zero_is_unlimited = True  # no rate of 0 can be made

    def open(self, cap: int) -> Limiter:
        """Make a limiter with a bucket in memory."""
        return Limiter(InMemoryBucket([Rate(within(cap), CENTURY)]))

    def charge(self, scope: Limiter, amount: int) -> None:
        """Take the estimate."""
        if not scope.try_acquire("job", weight=amount, blocking=False):
            raise Refused("the bucket has no room")

    def spent(self, scope: Limiter) -> int:
        """Return the weights in the bucket."""
        return scope.buckets()[0].count()
