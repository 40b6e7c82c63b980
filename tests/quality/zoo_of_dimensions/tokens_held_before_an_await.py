"""Sound: money and tokens are asked for and held in one go, before anything is awaited."""

import asyncio

from dimensions_base import Dimensions

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "tokens_asked_before_an_await"
AWAITS = True


class Target(Dimensions):
    dimensions = ("money", "tokens")

    async def reserve(self, scope, amount):
        hold = scope.reserve({**self.amounts(amount), "requests": 0})
        await asyncio.sleep(0)
        return hold
