"""Forgets the hold of a call that fails: it is neither given back nor written off, and nobody has it any more.

A missing `except`. What is stranded cannot be overspent, so that nothing is unsafe; it can not be spent either.
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
