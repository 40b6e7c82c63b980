"""Gives the hold back when the provider answers with an error or too late: "it failed, so it cost nothing".

The provider may have billed the call anyway. Cancellation is handled rightly, errors are not.
"""

from zoo_base import Calling

ANOMALY = "refund-after-send"
KEEPS = "delegated"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        hold = scope.reserve(estimate)
        try:
            bill = await provider()
        except Exception:
            scope.release(hold)  # the request has left
            raise
        except BaseException:
            scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill
