"""Sound: every operation locks the ceilings from the call's own upwards."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from ceilings_base import Ceiling, Ceilings

from capsound.adapter import Adapter, Gate

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "locks_both_ways"


class Locked(Ceiling):
    def __init__(self, cap, parent=None):
        super().__init__(cap, parent)
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def locked(self):
        while self.lock.locked():
            await asyncio.sleep(0)
        async with self.lock:
            await asyncio.sleep(0)
            yield


class Target(Ceilings):
    of = Locked
    gate = Gate.CALL
    reserve = Adapter.reserve
    sent = Adapter.sent
    settle = Adapter.settle
    release = Adapter.release
    forfeit = Adapter.forfeit

    def to_settle(self, path):
        return path

    async def call(self, scope, estimate, provider):
        async with AsyncExitStack() as locks:
            for ceiling in scope.path:
                await locks.enter_async_context(ceiling.locked())
            hold = scope.reserve(estimate)
        bill = estimate  # what has no bill is written off
        try:
            bill = await provider()
        finally:
            await self.settled(scope, hold, bill)

    async def settled(self, scope, hold, bill):
        try:
            async with AsyncExitStack() as locks:
                for ceiling in self.to_settle(scope.path):
                    await locks.enter_async_context(ceiling.locked())
                scope.resolve(hold, bill)
        finally:
            if not hold.done:
                scope.resolve(hold, bill)
