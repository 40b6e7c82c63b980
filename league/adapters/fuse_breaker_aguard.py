"""fuse-breaker 0.2.1: ``CircuitBreaker.aguard`` reserves an estimate, awaits the call and settles.

A call that fails costs nothing unless one says what: its reservation is free again, although the provider may have
billed it.

>>> import asyncio
>>> from fuse_breaker import CircuitBreaker, Limits
>>> async def billed_then_lost():
...     raise ConnectionError
>>> breaker = CircuitBreaker(Limits(budget=5.0, steps=99, failures=99))
>>> try:
...     asyncio.run(breaker.aguard(billed_then_lost, estimated_cost=5))
... except ConnectionError:
...     print(breaker.spent, breaker.reserved)
0.0 0.0
"""

from adapting import units, within
from fuse_breaker import CircuitBreaker, CircuitOpenError, Limits

from capsound.adapter import Adapter, Gate, Provider


class BreakerAdapter(Adapter):
    """``aguard`` itself, with limits on calls and failures out of the way. One unit is a dollar."""

    gate = Gate.CALL
    refused = (CircuitOpenError,)

    def open(self, cap: int) -> CircuitBreaker:
        """Make a breaker. Once it has refused a call, it refuses every later one."""
        return CircuitBreaker(Limits(budget=within(cap), steps=10**9, failures=10**9))

    async def call(self, scope: CircuitBreaker, estimate: int, provider: Provider) -> None:
        """Let the breaker make the call; the result is the bill."""
        await scope.aguard(provider, estimated_cost=estimate, actual_cost=lambda cost: cost)

    def spent(self, scope: CircuitBreaker) -> int:
        """Return what was settled."""
        return units(scope.spent)

    def held(self, scope: CircuitBreaker) -> int:
        """Return what is reserved."""
        return units(scope.reserved)
