"""sayay 0.1.0: ``SayayGuard.check`` blocks once the daily budget is used up, and warns before.

A call that would pass the budget is a warning; a limit for the session is counted and never looked at:

>>> import asyncio
>>> from sayay import MemoryStorage, SayayGuard
>>> async def two_calls(**budget):
...     guard, seen = SayayGuard(storage=MemoryStorage(), budget=budget), []
...     for cost in (4, 9):
...         seen.append((await guard.check("user", cost)).action)
...         await guard.record("user", cost)
...     return seen, (await guard.check("user", 1)).action
>>> asyncio.run(two_calls(daily_usd=5))
(['allow', 'warn'], 'block')
>>> asyncio.run(two_calls(session_usd=5))
(['allow', 'allow'], 'allow')
"""

from adapting import units
from sayay import MemoryStorage, SayayGuard

from capsound.adapter import Adapter, Gate


class DailyAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    window = "day"
    zero_is_unlimited = True  # "only configured ones are enforced"

    def open(self, cap: int) -> SayayGuard:
        """Make a guard with storage in memory."""
        return SayayGuard(storage=MemoryStorage(), budget={"daily_usd": cap})

    async def check(self, scope: SayayGuard, amount: int) -> bool:
        """Ask before a call; a warning does not stop it."""
        return (await scope.check("user", amount)).action != "block"

    async def record(self, scope: SayayGuard, amount: int) -> None:
        """Add what was used."""
        await scope.record("user", amount)

    async def spent(self, scope: SayayGuard) -> int:
        """Return what was recorded: for the day, or for the session."""
        usage = await scope.get_usage("user")
        return units(usage.daily + usage.session)


class SessionAdapter(DailyAdapter):
    """The same with a budget for the session."""

    window = ""

    def open(self, cap: int) -> SayayGuard:
        """Make a guard with storage in memory."""
        return SayayGuard(storage=MemoryStorage(), budget={"session_usd": cap})
