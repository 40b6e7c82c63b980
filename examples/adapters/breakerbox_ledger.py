"""breakerbox 1.0.0: its ``Ledger``, a tree of accounts in whole micro-dollars behind one lock.

Two adapters. ``LedgerAdapter`` drives the operations one by one. ``LedgerCallAdapter`` makes a whole call in the way
that the module itself describes: reserve, execute, reconcile, and release when the call has failed or was cancelled.

What the check finds, once more without it:

>>> from breakerbox.ledger import InsufficientBudget, Ledger

*A bill above its hold, in a slice.* It is charged in full, and the slice is closed to further calls. Its parent does
not see the debt: it spends the 3 that it has kept, and 10 are on the books under a cap of 6. The 4 above the cap are
the 4 above the hold, which the check excuses. The source asks callers for an upper bound.

>>> ledger = Ledger()
>>> ledger.open_account("root", None, 6)
>>> ledger.open_account("child", "root", 3)
>>> hold = ledger.reserve("child", 3)
>>> ledger.reconcile(hold, 7)
>>> ledger.remaining("child"), ledger.remaining("root"), ledger.total_spent()
(-4, 3, 7)
>>> ledger.reconcile(ledger.reserve("root", 3), 3)
>>> ledger.total_spent(), ledger.root_allocation()
(10, 6)

*A call that failed after the provider had billed it.* Its hold is released, and the same money is spent again.

>>> ledger = Ledger()
>>> ledger.open_account("root", None, 5)
>>> hold = ledger.reserve("root", 5)  # sent, billed 5, and then the connection times out
>>> ledger.release(hold)
>>> ledger.reconcile(ledger.reserve("root", 5), 5)  # billed 10 by now
>>> ledger.total_spent()
5

*NaN as an estimate.* It is not below zero, and nothing is smaller than it. From then on everything fits.

>>> ledger = Ledger()
>>> ledger.open_account("root", None, 5)
>>> _ = ledger.reserve("root", float("nan"))
>>> ledger.remaining("root")
nan
>>> _ = ledger.reserve("root", 1_000_000)

Without it, the same reservation is refused:

>>> ledger = Ledger()
>>> ledger.open_account("root", None, 5)
>>> try:
...     _ = ledger.reserve("root", 1_000_000)
... except InsufficientBudget as refused:
...     print(refused)
node 'root': need 1000000 microUSD but only 5 available
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import breakerbox.ledger
from breakerbox.ledger import InsufficientBudget, Ledger, ReservationId

from capsound.adapter import Adapter, Gate, Provider


@dataclass(frozen=True)
class Scope:
    """An account: the ledger that it is in, and its name there."""

    ledger: Ledger
    node: str
    names: itertools.count[int] = field(default_factory=itertools.count)


@dataclass(frozen=True)
class Hold:
    """A reservation: the ledger that knows it, and its number there."""

    ledger: Ledger
    number: ReservationId


class LedgerAdapter(Adapter):
    """The operations of the ledger, one by one. One unit is a micro-dollar."""

    refused = (InsufficientBudget,)
    stale = (KeyError,)  # "unknown or already-settled reservation"
    rejected = (ValueError,)  # a negative amount
    threads = True  # "Concurrency: one lock, sync API"
    files = (breakerbox.ledger.__file__,)

    def open(self, cap: int) -> Scope:
        """Make a ledger for each root, since a ledger has only one."""
        ledger = Ledger()
        ledger.open_account("root", None, cap)
        return Scope(ledger, "root")

    def delegate(self, scope: Scope, amount: int) -> Scope:
        """Take an allocation off its parent, at once and for good: no account can be closed."""
        child = Scope(scope.ledger, f"child-{next(scope.names)}", scope.names)
        scope.ledger.open_account(child.node, scope.node, amount)
        return child

    def reserve(self, scope: Scope, amount: int) -> Hold:
        """Reserve an upper bound of the cost."""
        return Hold(scope.ledger, scope.ledger.reserve(scope.node, amount))

    def settle(self, hold: Hold, actual: int) -> None:
        """Record the cost, which may be above the reservation."""
        hold.ledger.reconcile(hold.number, actual)

    def release(self, hold: Hold) -> None:
        """Drop a reservation. The ledger is not told when a request leaves, so that only an early release is tried."""
        hold.ledger.release(hold.number)

    def spent(self, scope: Scope) -> int:
        """Return own spending, without that of the children."""
        return scope.ledger.spent(scope.node)

    def held(self, scope: Scope) -> int:
        """Return the reservations of one account; the public total is that of the whole tree."""
        account = scope.ledger._accounts[scope.node]  # noqa: SLF001
        return account.reserved_microusd

    def remaining(self, scope: Scope) -> int:
        """Return the allocation without own spending, reservations, and what the children were given."""
        return scope.ledger.remaining(scope.node)


class LedgerCallAdapter(LedgerAdapter):
    """A whole call, as the docstring of ``breakerbox.ledger`` describes it, and as ``guard()`` does on an error."""

    gate = Gate.CALL
    threads = False  # calls are interleaved where they wait

    async def call(self, scope: Scope, estimate: int, provider: Provider) -> None:
        """Reserve, execute, reconcile; "drop a hold with no spend (call failed/cancelled)"."""
        hold = self.reserve(scope, estimate)
        try:
            actual = await provider()
        except BaseException:
            self.release(hold)
            raise
        self.settle(hold, actual)
