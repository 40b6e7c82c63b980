"""Sound ceilings in plain Python, and the adapter over them: a call needs room in its own and in each above it."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from capsound.adapter import Adapter


class Over(Exception):
    """It does not fit; nothing has changed."""


class Wrong(Exception):
    """Not an amount, or not legal now."""


class Used(Exception):
    """The handle was used up before."""


def whole(value: Any) -> int:
    """Return ``value`` if it is a whole number of units, and raise ``Wrong`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Wrong(f"{value!r} is not an amount")
    return value


class Unique:
    """A handle that cannot be copied."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle cannot be copied")


class Hold(Unique):
    """What is kept for one call, in each ceiling that it counts in."""

    def __init__(self, ceilings: list[Ceiling], amount: int) -> None:
        self.ceilings = ceilings
        self.amount = amount
        self.sent = False
        self.done = False


class Ceiling(Unique):
    """A cap, and all that counts under it."""

    def __init__(self, cap: int, parent: Ceiling | None = None) -> None:
        self.cap = whole(cap)
        self.parent = parent
        self.spent = 0
        self.held = 0

    @property
    def path(self) -> list[Ceiling]:
        return [self, *(self.parent.path if self.parent else [])]

    @property
    def free(self) -> int:
        return self.cap - self.spent - self.held

    def require_room(self, amount: int) -> None:
        if amount > self.free:
            raise Over(f"{amount} does not fit: {self.free} is free")

    def reserve(self, amount: int) -> Hold:
        whole(amount)
        for ceiling in self.path:
            ceiling.require_room(amount)
        for ceiling in self.path:
            ceiling.held += amount
        return Hold(self.path, amount)

    def resolve(self, hold: Hold, cost: int) -> None:
        whole(cost)
        if hold.done:
            raise Used("the hold was resolved")
        hold.done = True
        for ceiling in hold.ceilings:
            ceiling.held -= hold.amount
            ceiling.spent += cost


class Ceilings(Adapter):
    """Opens ceilings and reads them."""

    of: ClassVar[type[Ceiling]] = Ceiling
    strict = True
    refused = (Over,)
    rejected = (Wrong,)
    stale = (Used,)

    def open(self, cap: int) -> Any:
        return self.of(cap)

    def ceiling(self, scope: Any, cap: int) -> Any:
        return self.of(cap, scope)

    def reserve(self, scope: Any, amount: int) -> Any:
        return scope.reserve(amount)

    def sent(self, hold: Any) -> None:
        if hold.done:
            raise Used("the hold was resolved")
        hold.sent = True

    def settle(self, hold: Any, actual: int) -> None:
        hold.ceilings[0].resolve(hold, actual)

    def release(self, hold: Any) -> None:
        if hold.sent and not hold.done:
            raise Wrong("the request has left: its cost is open")
        hold.ceilings[0].resolve(hold, 0)

    def forfeit(self, hold: Any) -> None:
        hold.ceilings[0].resolve(hold, hold.amount)

    def spent(self, scope: Any) -> int:
        return scope.spent

    def held(self, scope: Any) -> int:
        return scope.held

    def remaining(self, scope: Any) -> int:
        return scope.free
