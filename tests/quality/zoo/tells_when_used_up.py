"""Sound: the call that uses up the budget succeeds, and a flag says that it was the last.

Looks like the wrapper that refuses a call after it was made.
"""

from zoo_base import Account, Calling

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "late_refusal"


class Telling(Account):
    used_up = False


class Target(Calling):
    account = Telling

    async def call(self, scope, estimate, provider):
        bill = await super().call(scope, estimate, provider)
        scope.used_up = scope.available <= 0
        return bill
