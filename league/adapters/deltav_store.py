"""deltav 0.0.0: ``InMemoryBudgetStore`` reserves, settles and releases under an asyncio lock.

A bill above its hold is recorded in full, and the next one is refused:

>>> import asyncio
>>> from deltav import Budget, InMemoryBudgetStore, SpendRequest
>>> async def overrun():
...     store = InMemoryBudgetStore({"job": ([Budget("job", "run", {"usd": 5})], {})})
...     held = (await store.try_reserve("job", SpendRequest({"usd": 3}))).reservation
...     await store.settle("job", held, {"usd": 7})
...     used = (await store.snapshot("job"))["job"].cumulative
...     return used, (await store.try_reserve("job", SpendRequest({"usd": 1}))).ok
>>> asyncio.run(overrun())
({'usd': 7}, False)
"""

from typing import Any

from deltav import Budget, InMemoryBudgetStore, SpendRequest

from capsound.adapter import Adapter, Refused


class StoreAdapter(Adapter):
    """The operations of a store, one by one, on a stack of one budget. One unit is a dollar."""

    def open(self, cap: int) -> InMemoryBudgetStore:
        """Make a store for each root."""
        return InMemoryBudgetStore({"job": ([Budget("job", "run", {"usd": cap})], {})})

    async def reserve(self, scope: InMemoryBudgetStore, amount: int) -> Any:
        """Reserve an estimate."""
        decision = await scope.try_reserve("job", SpendRequest({"usd": amount}))
        if not decision.ok:
            raise Refused(str(decision.breach))
        return scope, decision.reservation

    async def settle(self, hold: Any, actual: int) -> None:
        """Record the cost; a second time is silent and changes nothing."""
        await hold[0].settle("job", hold[1], {"usd": actual})

    async def release(self, hold: Any) -> None:
        """Drop a reservation."""
        await hold[0].release("job", hold[1])

    def spent(self, scope: InMemoryBudgetStore) -> Any:
        """Return what was settled."""
        return scope._stacks["job"][1]["job"].cumulative.get("usd", 0) if scope._stacks["job"][1] else 0  # noqa: SLF001
