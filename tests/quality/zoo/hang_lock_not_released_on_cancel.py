"""Holds one lock across the call, and keeps it when the call is cancelled: the next call waits for ever.

Locking the whole call is sound, if slow, as long as every call gets its reply.
"""

import asyncio

from zoo_base import Account, Calling

ANOMALY = "hang"
KEEPS = "delegated"


class Locked(Account):
    locked = False


class Target(Calling):
    account = Locked

    async def call(self, scope, estimate, provider):
        while scope.locked:
            await asyncio.sleep(0)
        scope.locked = True
        try:
            bill = await super().call(scope, estimate, provider)
        except Exception:  # a cancellation is none
            scope.locked = False
            raise
        scope.locked = False
        return bill
