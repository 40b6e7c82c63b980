"""Sound budgets over a window of an hour, in plain Python, and the adapter over them.

A cost counts from the moment at which it is settled: the provider has billed it before, and until then its hold has
covered it. A reset changes only what is spent.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from capsound.adapter import Adapter

HOUR = 3_600


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


class Hold:
    """What is kept for one call."""

    def __init__(self, amount: int, made: int) -> None:
        self.amount = amount
        self.made = made
        self.sent: int | None = None

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle cannot be copied")


class Fixed:
    """A cap an hour: each hour of the clock begins with nothing spent."""

    window: ClassVar[str] = "every 1 h"

    def __init__(self, cap: int, clock: Clocked) -> None:
        self.cap = whole(cap)
        self.clock = clock
        self.holds: list[Hold] = []
        self.costs: list[tuple[int, int]] = []

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle cannot be copied")

    @property
    def now(self) -> int:
        return self.clock.now

    def counts(self, at: int) -> bool:
        return at // HOUR == self.now // HOUR

    @property
    def spent(self) -> int:
        return sum(cost for at, cost in self.costs if self.counts(at))

    @property
    def held(self) -> int:
        return sum(hold.amount for hold in self.holds)

    @property
    def free(self) -> int:
        return self.cap - self.spent - self.held

    def reserve(self, amount: int) -> Hold:
        if whole(amount) > self.free:
            raise Over(f"{amount} does not fit: {self.free} is free")
        hold = Hold(amount, self.now)
        self.holds.append(hold)
        return hold

    def send(self, hold: Hold) -> None:
        if hold not in self.holds:
            raise Used("the hold was resolved, or has expired")
        hold.sent = self.now

    def resolve(self, hold: Hold, cost: int) -> None:
        if hold not in self.holds:
            raise Used("the hold was resolved, or has expired")
        cost = whole(cost)
        self.holds.remove(hold)
        self.costs.append((self.stamp(hold), cost))

    def stamp(self, hold: Hold) -> int:
        return self.now


class Sliding(Fixed):
    """A cap over any hour."""

    window = "sliding 1 h"

    def counts(self, at: int) -> bool:
        return self.now - at < HOUR


class Clocked(Adapter):
    """Opens budgets, tells them the time, and reads them."""

    budget: ClassVar[type[Fixed]] = Fixed
    strict = True
    refused = (Over,)
    rejected = (Wrong,)
    stale = (Used,)

    def __init__(self) -> None:
        self.now = 0

    def __init_subclass__(cls) -> None:
        cls.window = cls.budget.window

    def clock(self, now: int) -> None:
        self.now = now // 10**9

    def open(self, cap: int) -> Any:
        return self.budget(cap, self)

    def reserve(self, scope: Any, amount: int) -> Any:
        return scope, scope.reserve(amount)

    def sent(self, hold: Any) -> None:
        hold[0].send(hold[1])

    def settle(self, hold: Any, actual: int) -> None:
        hold[0].resolve(hold[1], actual)

    def release(self, hold: Any) -> None:
        if hold[1].sent is not None:
            raise Wrong("the request has left: its cost is open")
        hold[0].resolve(hold[1], 0)

    def forfeit(self, hold: Any) -> None:
        hold[0].resolve(hold[1], hold[1].amount)

    def spent(self, scope: Any) -> int:
        return scope.spent

    def held(self, scope: Any) -> int:
        return scope.held

    def remaining(self, scope: Any) -> int:
        return scope.free
