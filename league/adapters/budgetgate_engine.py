"""budgetgate 0.3.1: ``Engine.reserve`` under a lock, then ``commit``; ``guard_bounded`` does both around a function.

A function that raises has its reservation released, although the provider may have billed it:

>>> from decimal import Decimal
>>> from budgetgate import Budget, Engine, Ledger
>>> engine, ledger = Engine(), Ledger("llm", "call")
>>> engine.register(ledger, Budget(max_spend=Decimal(5), window=None))
>>> hold, _ = engine.reserve(ledger, Decimal(5))  # billed 5, and then the connection times out
>>> engine.release(hold)
>>> engine.reserve(ledger, Decimal(5))[1].allowed  # billed 10 by now
True
"""

from decimal import Decimal
from typing import Any

from adapting import guarded, units
from budgetgate import Budget, BudgetExceededError, Engine, Ledger, MemoryStore

from capsound.adapter import Adapter, Gate, Provider

LEDGER = Ledger("llm", "call")


class EngineAdapter(Adapter):
    """A whole call, as ``guard_bounded`` makes it, in a lifetime budget. One unit is a dollar, as a ``Decimal``."""

    gate = Gate.CALL
    refused = (BudgetExceededError,)

    def open(self, cap: int) -> Engine:
        """Make an engine for each root, with a budget that has no window."""
        engine = Engine(MemoryStore())
        engine.register(LEDGER, Budget(max_spend=Decimal(cap), window=None))
        return engine

    async def call(self, scope: Engine, estimate: int, provider: Provider) -> None:
        """Reserve, send, commit; release on an error."""
        hold, decision = scope.reserve(LEDGER, Decimal(estimate))
        scope.enforce(decision)
        assert hold is not None
        await guarded(provider, lambda: scope.release(hold), lambda cost: scope.commit(hold, Decimal(cost)))

    def spent(self, scope: Engine) -> Any:
        """Return what was committed; the public total holds what is reserved as well."""
        return units(sum(event.amount for event in scope._store._ledgers.get(LEDGER, ())))  # noqa: SLF001

    def remaining(self, scope: Engine) -> Any:
        """Return the room left, which is never told as less than nothing."""
        return units(scope.get_remaining(LEDGER))
