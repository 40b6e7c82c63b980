"""spendguard 0.1.0: ``SpendTracker`` checks and reserves under one lock, then commits or rolls back.

A failed call is rolled back, as the client wrapper does it, although the provider may have billed it:

>>> from spendguard import SpendTracker
>>> tracker = SpendTracker(5, threshold_pct=1.0)
>>> sent = tracker.check_and_reserve(5)  # billed 5, and then the connection times out
>>> tracker.rollback(sent)
>>> tracker.commit(tracker.check_and_reserve(5), 5)  # billed 10 by now
>>> tracker.get_spent()
5.0
"""

from adapting import guarded, units, within
from spendguard import BudgetExceededError, SpendTracker

from capsound.adapter import Adapter, Gate, Provider


class TrackerAdapter(Adapter):
    """A whole call, as ``wrap_openai`` makes it. One unit is a dollar; the whole ceiling is the threshold."""

    gate = Gate.CALL
    refused = (BudgetExceededError,)

    def open(self, cap: int) -> SpendTracker:
        """Make a tracker whose threshold is the ceiling itself, not a quarter of it."""
        return SpendTracker(within(cap), threshold_pct=1.0)

    async def call(self, scope: SpendTracker, estimate: int, provider: Provider) -> None:
        """Reserve, send, commit; roll back on an error."""
        hold = scope.check_and_reserve(estimate)
        await guarded(provider, lambda: scope.rollback(hold), lambda cost: scope.commit(hold, cost))

    def spent(self, scope: SpendTracker) -> int:
        """Return what was committed."""
        return units(scope.get_spent())

    def held(self, scope: SpendTracker) -> int:
        """Return what is reserved."""
        return units(scope.get_reserved())

    def remaining(self, scope: SpendTracker) -> int:
        """Return the room left beside both."""
        return units(scope.get_remaining())
