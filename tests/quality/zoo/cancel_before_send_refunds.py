"""Sound: gives the hold back when the caller cancels before the request leaves, and writes it off afterwards.

Looks like the wrapper that refunds whatever is cancelled. Between the reservation and the request it waits once.
"""

import asyncio

from zoo_base import Calling

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "cancel_after_send_refunds"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        hold = scope.reserve(estimate)
        try:
            await asyncio.sleep(0)  # nothing has left yet
        except BaseException:
            scope.release(hold)
            raise
        try:
            bill = await provider()
        except BaseException:
            scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill
