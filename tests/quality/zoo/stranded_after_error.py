"""Forgets the hold of a failed call: it is neither given back nor written off.

A missing `except`. What is stranded cannot be overspent, which keeps it safe; it cannot be spent either.
"""

from zoo_base import Calling

ANOMALY = "stranded"
KEEPS = "overrun-bounded"


class Target(Calling):
    async def call(self, scope, estimate, provider):
        hold = scope.reserve(estimate)
        bill = await provider()  # whatever it raises passes
        scope.settle(hold, bill)
        return bill
