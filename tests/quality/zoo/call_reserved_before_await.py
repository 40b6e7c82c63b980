"""Sound: a wrapper that sets its estimate aside before the await, and books the bill afterwards.

Looks like the wrapper that only checks before the await. Whatever has no bill is written off.
"""

from zoo_base import Calling

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "call_checked_before_written_after_await"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        hold, bill = scope.reserve(estimate), estimate
        try:
            bill = await provider()
        finally:
            scope.settle(hold, bill)
        return bill
