"""throttled-py 3.5.0: ``Throttled.limit`` counts a cost in a window if it fits.

What a request cost in the end cannot be told, so that the cost has to be an upper bound. What was refused is counted
too, and the window is full:

>>> from datetime import timedelta
>>> from throttled import Throttled, per_duration
>>> limiter = Throttled("job", using="fixed_window", quota=per_duration(timedelta(days=36_500), 5))
>>> [limiter.limit("job", cost=3).limited for _ in range(2)], limiter.limit("job", cost=2).limited
([False, True], True)
"""

from datetime import timedelta

from throttled import MemoryStore, Throttled, per_duration

from capsound.adapter import Adapter, Gate, Refused


class WindowAdapter(Adapter):
    """A limit per window as a budget, within one window. One unit is a token."""

    gate = Gate.CHARGE
    rejected = (ValueError, TypeError)
    zero_is_unlimited = True  # it divides by the limit

    def open(self, cap: int) -> Throttled:
        """Make a limiter with a store of its own."""
        quota = per_duration(timedelta(days=36_500), cap)
        return Throttled("job", using="fixed_window", quota=quota, store=MemoryStore())

    def charge(self, scope: Throttled, amount: int) -> None:
        """Count the estimate."""
        if scope.limit("job", cost=amount).limited:
            raise Refused("the window is full")

    def remaining(self, scope: Throttled) -> int:
        """Return what the window has room for."""
        return scope.peek("job").remaining
