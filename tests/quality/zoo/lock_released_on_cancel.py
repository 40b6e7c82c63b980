"""Sound: holds one lock across the call, and releases it on every way out.

Looks like the wrapper that hangs after a cancellation.
"""

import asyncio

from zoo_base import Account, Calling

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "hang_lock_not_released_on_cancel"


class Locked(Account):
    locked = False


class Target(Calling):
    account = Locked

    async def call(self, scope, estimate, provider):
        while scope.locked:
            await asyncio.sleep(0)
        scope.locked = True
        try:
            return await super().call(scope, estimate, provider)
        finally:
            scope.locked = False
