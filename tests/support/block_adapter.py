"""A second adapter over the reference implementation: every call and every slice in a block, by a careless owner."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from reference_adapter import JournalAdapter

import capsound_reference
from capsound.adapter import Rejected, Stale


class Odd(int):
    """An amount that is a whole number and tells lies about itself: the books are to keep its plain value."""

    def __add__(self, other: int) -> int:
        return 0

    def __lt__(self, other: int) -> bool:
        return False

    def __le__(self, other: int) -> bool:
        return True

    __radd__ = __sub__ = __rsub__ = __add__
    __gt__, __ge__ = __lt__, __le__


def _odd(amount: Any) -> Any:
    return Odd(amount) if type(amount) is int and amount >= 0 else amount


class BlockAdapter(JournalAdapter):
    """Every call and every slice in a block of its own, with odd amounts and ids, by an owner who tries what is forbidden.

    Before an operation it does what must be refused, and takes no notice of how that went: a block is entered
    twice, or left before it was entered; a name that is none is given. Whatever came of it shows in the books.
    """

    handlers = False
    errors: type[Exception] = capsound_reference.BudgetError

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[Any, Any] = {}
        self.ended: set[Any] = set()
        self.known: dict[str, list[Any]] = {}
        self.roots: dict[Any, str] = {}
        self.amounts: dict[Any, int] = {}

    def _forbidden(self, operation: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(self.errors):
            operation(*args)

    def _enter(self, block: Any) -> Any:
        self._forbidden(block.__exit__, None, None, None)
        inside = block.__enter__()
        self.blocks[inside] = block
        self._forbidden(block.__enter__)
        return inside

    def reserve(self, scope: Any, amount: int) -> Any:
        hold = self._enter(scope.call(_odd(amount)))
        self.amounts[hold], self.roots[hold] = amount, scope.path.split("/")[0]
        return hold

    def sent(self, hold: Any) -> None:
        known = self.known.setdefault(self.roots[hold], [])
        for name in ("", "c1", 5, *known[-1:]):
            self._forbidden(hold.sent, name)
        known.append(hold.sent(f"own{len(known)}" if len(known) % 2 else None))

    def extend(self, hold: Any, amount: int) -> None:
        wanted = self.amounts[hold] + amount if type(amount) is int else amount
        hold.extend(wanted - hold.amount if type(amount) is int and amount >= 0 else amount)
        self.amounts[hold] = wanted

    def settle(self, hold: Any, actual: int) -> None:
        hold.settle(_odd(actual))
        self.blocks[hold].__exit__(None, None, None)

    def release(self, hold: Any) -> None:
        if hold.state != "held":
            raise Stale(f"it is {hold.state}")
        self.blocks[hold].__exit__(None, None, None)

    def forfeit(self, hold: Any) -> None:
        if hold.state != "sent":
            hold.forfeit()
            return
        self.blocks[hold].__exit__(None, None, None)

    def delegate(self, scope: Any, amount: int) -> Any:
        for name in ("", "a/b", "a#2", 5):
            self._forbidden(scope.delegate, amount, name)
        return self._enter(scope.slice(_odd(amount), "slice"))

    def close(self, scope: Any) -> None:
        block = self.blocks.get(scope)
        if block is None or scope in self.ended:
            scope.close()
            return
        if len(self.blocks) % 2:  # an error is on its way: it is told what went wrong, and goes on
            error = ValueError()
            block.__exit__(ValueError, error, None)
            if getattr(error, "__notes__", None):
                raise Rejected(*error.__notes__)
        else:
            block.__exit__(None, None, None)
        self.ended.add(scope)

    def merge(self, target: Any, source: Any) -> None:
        target.merge(source)
        block = self.blocks.get(source)
        if block is not None:
            block.__exit__(None, None, None)
        self.ended.add(source)
