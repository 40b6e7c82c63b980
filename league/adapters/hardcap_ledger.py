"""hardcap 0.1.0: ``BudgetLedger`` admits, extends and settles by scripts in Redis, here in the memory of fakeredis.

An admission may be told to grant more than it asks for; a bill above the grant is charged in full:

>>> tenant = Tenant("t", [], TenantBudget(window_s=10**9, total=5))
>>> ledger = BudgetLedger(FakeAsyncRedis(), BudgetPolicy())
>>> done(ledger.admit(tenant, 0, 3)).ok, done(ledger.admit(tenant, 0, 3)).ok
(True, False)
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from adapting import within
from fakeredis import FakeAsyncRedis
from hardcap.config import BudgetPolicy, Tenant, TenantBudget
from hardcap.ledger import BudgetLedger

from capsound.adapter import Adapter, Refused

CENTURIES = 10**10

LOOP = asyncio.new_event_loop()


def done(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end."""
    return LOOP.run_until_complete(coroutine)


class LedgerAdapter(Adapter):
    """The operations of the ledger, one by one, within one window. One unit is an output token."""

    zero_is_unlimited = True

    def open(self, cap: int) -> tuple[BudgetLedger, Tenant]:
        """Make a tenant with a database of its own."""
        budget = TenantBudget(window_s=CENTURIES, total=within(cap))
        return BudgetLedger(FakeAsyncRedis(), BudgetPolicy(reservation_ttl_s=CENTURIES)), Tenant("t", [], budget)

    def reserve(self, scope: tuple[BudgetLedger, Tenant], amount: int) -> Any:
        """Admit a request."""
        admission = done(scope[0].admit(scope[1], 0, amount))
        if not admission.ok:
            raise Refused(admission.reason)
        return scope, admission

    def settle(self, hold: Any, actual: int) -> None:
        """Charge what was used; "charging happens even if the reservation already expired"."""
        (ledger, tenant), admission = hold
        done(ledger.settle(tenant, admission, 0, actual))

    def spent(self, scope: tuple[BudgetLedger, Tenant]) -> Any:
        """Return the tokens that were charged."""
        return done(scope[0].usage(scope[1])).get("out", 0)
