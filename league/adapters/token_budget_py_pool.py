"""token-budget-py 0.1.0: ``BudgetPool`` reserves tokens under a lock; a commit checks the cap once more.

A bill above its hold that does not fit raises, is not counted, and its reservation is free again:

>>> from token_budget import BudgetExceeded, BudgetPool
>>> pool = BudgetPool(token_cap=5)
>>> try:
...     with pool.reserve(tokens=5) as hold:
...         hold.commit(tokens=7)
... except BudgetExceeded:
...     print(pool.snapshot().tokens_used, pool.snapshot().tokens_remaining)
0 5
"""

from token_budget import BudgetExceeded, BudgetPool

from capsound.adapter import Adapter, Gate, Provider


class PoolAdapter(Adapter):
    """A whole call, in the ``with`` block of the README. One unit is a token."""

    gate = Gate.CALL
    refused = (BudgetExceeded,)
    rejected = (ValueError,)

    def open(self, cap: int) -> BudgetPool:
        """Make a pool."""
        return BudgetPool(token_cap=cap)

    async def call(self, scope: BudgetPool, estimate: int, provider: Provider) -> None:
        """Leaving the block without a commit releases the reservation, whatever the reason."""
        with scope.reserve(tokens=estimate) as hold:
            hold.commit(tokens=await provider())

    def spent(self, scope: BudgetPool) -> int:
        """Return the tokens that were committed."""
        return scope.snapshot().tokens_used

    def held(self, scope: BudgetPool) -> int:
        """Return what is reserved: it is taken off what remains."""
        return scope._tokens_reserved  # noqa: SLF001

    def remaining(self, scope: BudgetPool) -> int:
        """Return the cap without both."""
        left = scope.snapshot().tokens_remaining
        assert left is not None
        return left
