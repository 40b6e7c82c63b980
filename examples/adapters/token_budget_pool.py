"""token-budget-py 0.1.0: its ``BudgetPool``, one counter of tokens and one of dollars for many tasks.

Three adapters. ``PoolAdapter`` drives reserve, commit and release one by one, in tokens. ``PoolCallAdapter`` makes a
whole call in the ``with`` block of the README. ``DollarPoolAdapter`` is the first one again in dollars, that is, in
floats.

What the check finds, once more without it:

>>> from token_budget import BudgetExceeded, BudgetPool

*A bill above its hold that no longer fits.* ``commit`` raises, which is documented. It also forgets the bill, all of
it, and gives the reservation back: 9 tokens were used, 0 are on the books, and the whole cap is free again.

>>> pool = BudgetPool(token_cap=5)
>>> hold = pool.try_reserve(tokens=5)
>>> try:
...     hold.commit(tokens=9)
... except BudgetExceeded as refused:
...     print(refused)
budget exceeded on tokens: attempted 9 > cap 5
>>> pool.snapshot().tokens_used, pool.snapshot().tokens_remaining
(0, 5)

*A call that failed after the provider had billed it.* The ``with`` block refunds it in full.

>>> pool = BudgetPool(token_cap=5)
>>> try:
...     with pool.reserve(tokens=5):
...         raise TimeoutError("the reply was lost; the 5 tokens were billed")
... except TimeoutError:
...     pool.snapshot().tokens_remaining
5

*Two threads that resolve one reservation.* Whether it is open is asked before the lock is taken, so that both may pass.
Here the second one comes in just there; a preempted thread does the same. The reservation is given back twice, and 10
tokens are free under a cap of 5.

>>> pool = BudgetPool(token_cap=5)
>>> hold = pool.try_reserve(tokens=5)
>>> class ComesInBetween:
...     def __init__(self, lock):
...         self.lock = lock
...     def __enter__(self):
...         pool._lock = self.lock  # from here on the lock is as it was
...         hold.release()  # the other thread, up to its end
...         return self.lock.__enter__()
...     def __exit__(self, *error):
...         return self.lock.__exit__(*error)
>>> pool._lock = ComesInBetween(pool._lock)
>>> hold.release()
>>> pool.snapshot().tokens_remaining
10

*NaN as an amount.* It is not below zero, and not above the cap. From then on everything fits.

>>> pool = BudgetPool(token_cap=5)
>>> pool.record(tokens=float("nan"))
>>> pool.record(tokens=1_000_000)

*Copies.* A copied reservation is committed once more, and a copied pool has the same tokens again.

>>> from copy import copy
>>> pool = BudgetPool(token_cap=5)
>>> hold = pool.try_reserve(tokens=5)
>>> other = copy(hold)
>>> hold.commit(tokens=0)
>>> other.commit(tokens=0)
>>> pool.snapshot().tokens_remaining
10
>>> pool = BudgetPool(token_cap=5)
>>> copy(pool).record(tokens=5)
>>> pool.record(tokens=5)

*Dollars.* They are floats: 0.1 and 0.2 do not fit into 0.3.

>>> pool = BudgetPool(usd_cap=0.3)
>>> pool.record(usd=0.1)
>>> try:
...     pool.record(usd=0.2)
... except BudgetExceeded as refused:
...     print(refused)
budget exceeded on usd: attempted 0.3 > cap 0.3

With the first finding this loses money although every bill is what was reserved for it: a commit of exactly that is
refused, and its 0.3 dollars are forgotten. 0.8 are spent under a cap of 0.6.

>>> pool = BudgetPool(usd_cap=0.6)
>>> pool.record(usd=0.2)
>>> hold, other = pool.try_reserve(usd=0.3), pool.try_reserve(usd=0.1)
>>> try:
...     hold.commit(usd=0.3)
... except BudgetExceeded as refused:
...     print(refused)
budget exceeded on usd: attempted 0.6 > cap 0.6
>>> other.commit(usd=0.1)
>>> pool.try_reserve(usd=0.2).commit(usd=0.2)

*``reset()`` while a call is in flight.* The check has no such operation. The README proposes it for periodic windows;
the commit afterwards takes its reservation off once more, and the next window has room for too much.

>>> pool = BudgetPool(token_cap=5)
>>> hold = pool.try_reserve(tokens=5)
>>> pool.reset()
>>> hold.commit(tokens=5)
>>> pool.snapshot().tokens_used, pool.snapshot().tokens_remaining
(5, 5)
"""

from __future__ import annotations

import token_budget.pool
from token_budget import BudgetExceeded, BudgetPool, Reservation

from capsound.adapter import Adapter, Gate, Provider


class PoolAdapter(Adapter):
    """Reserve, commit and release, one by one. One unit is a token; the dollar axis is left unbounded."""

    refused = (BudgetExceeded,)
    stale = (RuntimeError,)  # "reservation already committed or released"
    rejected = (ValueError,)  # a negative amount
    threads = True  # "Thread-safe shared token + USD budget"
    files = (token_budget.pool.__file__,)

    def open(self, cap: int) -> BudgetPool:
        """Make a pool: one flat account, without slices."""
        return BudgetPool(token_cap=cap)

    def reserve(self, scope: BudgetPool, amount: int) -> Reservation:
        """Check and earmark in one step."""
        return scope.try_reserve(tokens=amount)

    def settle(self, hold: Reservation, actual: int) -> None:
        """Commit; raises BudgetExceeded where ``actual`` does not fit, and consumes the reservation all the same."""
        hold.commit(tokens=actual)

    def release(self, hold: Reservation) -> None:
        """Refund a reservation. A second time is silent, and documented as such."""
        hold.release()

    def spent(self, scope: BudgetPool) -> int:
        """Return the tokens that were committed."""
        return scope.snapshot().tokens_used

    def held(self, scope: BudgetPool) -> int:
        """Return what is reserved: it is taken off ``tokens_remaining``, and has no name of its own in a snapshot."""
        return scope._tokens_reserved  # noqa: SLF001

    def remaining(self, scope: BudgetPool) -> int:
        """Return the cap without what was committed and what is reserved."""
        left = scope.snapshot().tokens_remaining
        assert left is not None
        return left


class PoolCallAdapter(PoolAdapter):
    """A whole call, in the ``with`` block of the README."""

    gate = Gate.CALL
    threads = False  # calls are interleaved where they wait

    async def call(self, scope: BudgetPool, estimate: int, provider: Provider) -> None:
        """Leaving the block without a commit releases the reservation, whatever the reason."""
        with scope.reserve(tokens=estimate) as hold:
            hold.commit(tokens=await provider())


class DollarPoolAdapter(PoolAdapter):
    """The dollar axis. One unit is a tenth of a dollar, and goes in as the nearest float."""

    def open(self, cap: int) -> BudgetPool:
        """Make a pool whose token axis is unbounded."""
        return BudgetPool(usd_cap=cap / 10)

    def reserve(self, scope: BudgetPool, amount: int) -> Reservation:
        """Check and earmark in one step."""
        return scope.try_reserve(usd=amount / 10)

    def settle(self, hold: Reservation, actual: int) -> None:
        """Commit, in dollars."""
        hold.commit(usd=actual / 10)

    def spent(self, scope: BudgetPool) -> int:
        """Return what was committed, rounded: less than half a unit is not told as drift. Refusals are not rounded."""
        return round(scope.snapshot().usd_used * 10)

    def held(self, scope: BudgetPool) -> int:
        """Return what is reserved, rounded."""
        return round(scope._usd_reserved * 10)  # noqa: SLF001

    def remaining(self, scope: BudgetPool) -> int:
        """Return what is left, rounded."""
        left = scope.snapshot().usd_remaining
        assert left is not None
        return round(left * 10)
