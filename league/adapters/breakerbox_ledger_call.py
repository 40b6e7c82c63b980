"""breakerbox 1.0.0: ``Ledger`` reserves micro-dollars under a lock, and reconciles or releases.

A call that failed is released, although the provider may have billed it, and a bill above its hold is above the cap:

>>> from breakerbox.ledger import Ledger
>>> ledger = Ledger()
>>> ledger.open_account("root", None, 5)
>>> hold = ledger.reserve("root", 5)  # sent, billed 5, and then the connection times out
>>> ledger.release(hold)
>>> ledger.reconcile(ledger.reserve("root", 5), 7)
>>> ledger.total_spent(), ledger.root_allocation()
(7, 5)
"""

from adapting import guarded
from breakerbox.ledger import InsufficientBudget, Ledger

from capsound.adapter import Adapter, Gate, Provider


class LedgerAdapter(Adapter):
    """A whole call, as ``guard()`` makes it. One unit is a micro-dollar."""

    gate = Gate.CALL
    refused = (InsufficientBudget,)
    rejected = (ValueError,)

    def open(self, cap: int) -> Ledger:
        """Make a ledger for each root, since a ledger has only one."""
        ledger = Ledger()
        ledger.open_account("root", None, cap)
        return ledger

    async def call(self, scope: Ledger, estimate: int, provider: Provider) -> None:
        """Reserve, send, reconcile; "drop a hold with no spend (call failed/cancelled)"."""
        hold = scope.reserve("root", estimate)
        await guarded(provider, lambda: scope.release(hold), lambda cost: scope.reconcile(hold, cost))

    def spent(self, scope: Ledger) -> int:
        """Return what was reconciled."""
        return scope.spent("root")

    def remaining(self, scope: Ledger) -> int:
        """Return the allocation without spending and reservations."""
        return scope.remaining("root")
