"""Takes the money at once, but asks for the tokens before an await and counts them after it: only tokens are raced for."""

import asyncio

from dimensions_base import Budget, Dimensions

ANOMALY = "stale-admit"
KEEPS = "sequential"
AWAITS = True


class Awaiting(Budget):
    async def reserve_tokens(self, amounts):
        self.require_room("tokens", amounts)
        await asyncio.sleep(0)
        self.hold("tokens", amounts)

    async def reserve_slowly(self, amounts):
        self.require_room("money", amounts)
        hold = self.reserve({**amounts, "tokens": 0})
        hold.amounts = amounts
        await self.reserve_tokens(amounts)
        return hold


class Target(Dimensions):
    of = Awaiting
    dimensions = ("money", "tokens")

    async def reserve(self, scope, amount):
        return await scope.reserve_slowly({**self.amounts(amount), "requests": 0})
