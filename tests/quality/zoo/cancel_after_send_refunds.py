"""Gives the whole hold back when the caller cancels, although the request has left and will be billed.

Published wrappers treat a cancelled task as a call that never was. Without faults nothing is wrong.
"""

import asyncio

from zoo_base import Calling

ANOMALY = "refund-after-send"
KEEPS = "delegated"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        hold = scope.reserve(estimate)
        try:
            bill = await provider()
        except asyncio.CancelledError:
            scope.release(hold)  # the request has left
            raise
        except BaseException:
            scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill
