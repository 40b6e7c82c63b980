"""The transition function once more, made for speed: lists of integers instead of frozen dataclasses.

It answers two questions about one operation: is it allowed, and what do the accounts look like afterwards.
``accounts.py`` is the specification; this module must agree with it on every operation, and a property test
(tests/unit/test_ledger_fast.py) draws the operations. Accounts and holds are numbered in the order of creation.
"""

from __future__ import annotations

HELD, SENT, USED = 0, 1, 2
"""Where a hold is: before its request left, after it, or resolved."""


class FastLedger:
    """Mutable books of any number of roots; every ``may_`` method judges, and changes nothing."""

    __slots__ = (
        "amount",
        "available",
        "billed",
        "busy",
        "charged",
        "closed",
        "delegated",
        "forfeited",
        "granted",
        "held",
        "owner",
        "parent",
        "returned",
        "root",
        "state",
    )

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.root: list[int] = []
        self.granted: list[int] = []
        self.available: list[int] = []
        self.held: list[int] = []
        self.charged: list[int] = []
        self.forfeited: list[int] = []
        self.delegated: list[int] = []
        self.returned: list[int] = []
        self.closed: list[bool] = []
        self.busy: list[int] = []  # unresolved holds and open slices
        self.owner: list[int] = []
        self.amount: list[int] = []
        self.state: list[int] = []
        self.billed: list[int] = []

    # -------------------------------------------------------------------------------------- what is allowed

    def may_reserve(self, account: int, amount: int) -> bool:
        """Rules R1, R2, R3 and R5."""
        if self.closed[account] or amount > self.available[account]:
            return False
        return amount == 0 or self.charged[account] + self.forfeited[account] < self.granted[account]

    def may_extend(self, hold: int, amount: int) -> bool:
        """Rules R1, R2, R3 and R7; the account of an unresolved hold is never closed."""
        if self.state[hold] == USED:
            return False
        account = self.owner[hold]
        if amount > self.available[account]:
            return False
        return amount == 0 or self.charged[account] + self.forfeited[account] < self.granted[account]

    def may_release(self, hold: int) -> bool:
        """Rules R6 and R8."""
        return self.state[hold] == HELD

    def may_delegate(self, parent: int, amount: int) -> bool:
        """Rules R4 and R5."""
        return not self.closed[parent] and amount <= self.available[parent]

    def may_close(self, account: int) -> bool:
        """Rules R5 and R15."""
        return not self.closed[account] and not self.busy[account]

    def may_merge(self, target: int, source: int) -> bool:
        """Rules R5, R13, R14 and R15."""
        return (
            target != source
            and self.root[target] == self.root[source]
            and not self.closed[target]
            and not self.closed[source]
            and not self.busy[source]
        )

    # ------------------------------------------------------------------------------------- what it changes

    def _add(self, parent: int, root: int, granted: int) -> int:
        self.parent.append(parent)
        self.root.append(root)
        self.granted.append(granted)
        self.available.append(granted)
        self.held.append(0)
        self.charged.append(0)
        self.forfeited.append(0)
        self.delegated.append(0)
        self.returned.append(0)
        self.closed.append(False)
        self.busy.append(0)
        return len(self.parent) - 1

    def open(self, cap: int) -> int:
        """Create a root; return its number."""
        return self._add(-1, len(self.parent), cap)

    def delegate(self, parent: int, amount: int) -> int:
        """Move ``amount`` into a new slice; return its number."""
        self.available[parent] -= amount
        self.delegated[parent] += amount
        self.busy[parent] += 1
        return self._add(parent, self.root[parent], amount)

    def reserve(self, account: int, amount: int) -> int:
        """Hold ``amount``; return the number of the hold."""
        self.available[account] -= amount
        self.held[account] += amount
        self.busy[account] += 1
        self.owner.append(account)
        self.amount.append(amount)
        self.state.append(HELD)
        self.billed.append(0)
        return len(self.owner) - 1

    def extend(self, hold: int, amount: int) -> None:
        """Hold ``amount`` more."""
        account = self.owner[hold]
        self.available[account] -= amount
        self.held[account] += amount
        self.amount[hold] += amount

    def send(self, hold: int, bill: int) -> None:
        """Send one (more) request, billed ``bill``."""
        self.state[hold] = SENT
        self.billed[hold] += bill

    def settle(self, hold: int) -> None:
        """Charge what was billed, in full."""
        account, amount, cost = self.owner[hold], self.amount[hold], self.billed[hold]
        self.held[account] -= amount
        self.charged[account] += cost
        self.available[account] += amount - cost
        self.busy[account] -= 1
        self.state[hold] = USED

    def release(self, hold: int) -> None:
        """Give the hold back."""
        account, amount = self.owner[hold], self.amount[hold]
        self.held[account] -= amount
        self.available[account] += amount
        self.busy[account] -= 1
        self.state[hold] = USED

    def forfeit(self, hold: int) -> None:
        """Write the hold off."""
        account, amount = self.owner[hold], self.amount[hold]
        self.held[account] -= amount
        self.forfeited[account] += amount
        self.busy[account] -= 1
        self.state[hold] = USED

    def close(self, account: int) -> None:
        """End an account; what is free goes back to its parent, a debt stays."""
        self.closed[account] = True
        parent = self.parent[account]
        if parent < 0:
            return
        back = max(0, self.available[account])
        self.available[account] -= back
        self.returned[account] += back
        self.available[parent] += back
        self.delegated[parent] -= back
        self.busy[parent] -= 1

    def merge(self, target: int, source: int) -> None:
        """Move what is free in ``source`` up to the common ancestor and down into ``target``."""
        back = max(0, self.available[source])
        up = self._path(source)
        down = self._path(target)
        common = next(account for account in up if account in down)
        self.available[source] -= back
        for account in up[: up.index(common)]:
            self.returned[account] += back
            self.delegated[self.parent[account]] -= back
        for account in down[: down.index(common)]:
            self.granted[account] += back
            self.delegated[self.parent[account]] += back
        self.available[target] += back
        self.closed[source] = True
        if self.parent[source] >= 0:
            self.busy[self.parent[source]] -= 1

    def _path(self, account: int) -> list[int]:
        path = []
        while account >= 0:
            path.append(account)
            account = self.parent[account]
        return path
