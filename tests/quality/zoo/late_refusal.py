"""Raises "the budget is used up" from the call that used it up, after it was made and charged.

Callbacks that check when they book do so. The caller takes a call that was billed for one that was not made. The
books are right, and the next call is refused in time.
"""

from zoo_base import Calling, Over

ANOMALY = "late-refusal"
KEEPS = "overrun-bounded"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        bill = await super().call(scope, estimate, provider)
        if scope.available <= 0:
            raise Over("the budget is used up")
        return bill
