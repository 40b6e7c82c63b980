"""A sound budget in plain Python, and adapters over it: most faults of the zoo replace one method of it.

An account has ``available``, ``held`` and ``spent`` (charged or written off). They move only between each other,
into a slice and back; only ``available`` is ever negative: a bill above its hold is charged in full, and an account
in debt admits nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from capsound.adapter import Adapter, Gate, Provider


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
    """What is kept for one call."""

    def __init__(self, account: Account, amount: int) -> None:
        self.account = account
        self.amount = amount
        self.sent = False
        self.done = False


class Account(Unique):
    """A root or a slice."""

    hold: ClassVar[type[Hold]] = Hold

    def __init__(self, granted: int, parent: Account | None = None) -> None:
        self.granted = granted
        self.parent = parent
        self.available = granted
        self.held = 0
        self.spent = 0
        self.holds = 0
        self.slices = 0
        self.closed = False

    @property
    def root(self) -> Account:
        return self if self.parent is None else self.parent.root

    # ----------------------------------------------------------------------------------- what is required

    def require_open(self) -> None:
        if self.closed:
            raise Used("the account was closed or merged")

    def require_room(self, amount: int) -> None:
        if amount > self.available:
            raise Over(f"{amount} does not fit: {self.available} is available")

    def require_idle(self) -> None:
        if self.holds or self.slices:
            raise Wrong("a hold or a slice is open")

    def require_unused(self, hold: Hold) -> None:
        if hold.done:
            raise Used("the hold was resolved")

    # --------------------------------------------------------------------------------------------- calls

    def reserve(self, amount: Any) -> Hold:
        amount = whole(amount)
        self.require_open()
        self.require_room(amount)
        return self.take(amount)

    def take(self, amount: int) -> Hold:
        self.available -= amount
        self.held += amount
        self.holds += 1
        return self.hold(self, amount)

    def send(self, hold: Hold) -> None:
        self.require_unused(hold)
        hold.sent = True

    def settle(self, hold: Hold, actual: Any) -> None:
        actual = whole(actual)
        self.require_unused(hold)
        self.resolve(hold, actual)

    def release(self, hold: Hold) -> None:
        self.require_unused(hold)
        if hold.sent:
            raise Wrong("the request has left: its cost is open")
        self.resolve(hold, 0)

    def forfeit(self, hold: Hold) -> None:
        self.require_unused(hold)
        self.resolve(hold, hold.amount)

    def resolve(self, hold: Hold, cost: int) -> None:
        hold.done = True
        self.holds -= 1
        self.held -= hold.amount
        self.spent += cost
        self.available += hold.amount - cost

    def extend(self, hold: Hold, amount: Any) -> None:
        amount = whole(amount)
        self.require_unused(hold)
        self.require_room(amount)
        hold.amount += amount
        self.available -= amount
        self.held += amount

    # -------------------------------------------------------------------------------------------- slices

    def delegate(self, amount: Any) -> Account:
        amount = whole(amount)
        self.require_open()
        self.require_room(amount)
        self.available -= amount
        self.slices += 1
        return type(self)(amount, self)

    def close(self) -> None:
        self.require_open()
        self.require_idle()
        self.end()
        if self.parent is not None:
            self.give(self.parent)

    def merge(self, source: Account) -> None:
        self.require_open()
        source.require_open()
        if source is self or source.root is not self.root:
            raise Wrong("only two accounts of one root can be merged")
        source.require_idle()
        source.end()
        source.give(self)

    def end(self) -> None:
        self.closed = True
        if self.parent is not None:
            self.parent.slices -= 1

    def give(self, to: Account) -> None:
        rest = max(0, self.available)
        self.available -= rest
        to.available += rest


class Books(Adapter):
    """Opens accounts and reads them."""

    account: ClassVar[type[Account]] = Account
    strict = True
    refused = (Over,)
    rejected = (Wrong,)
    stale = (Used,)

    def open(self, cap: int) -> Any:
        return self.account(whole(cap))

    def spent(self, scope: Any) -> int:
        return scope.spent

    def held(self, scope: Any) -> int:
        return scope.held

    def remaining(self, scope: Any) -> int:
        return scope.available


class Settling(Books):
    """Reserve, send, settle."""

    def reserve(self, scope: Any, amount: int) -> Any:
        return scope.reserve(amount)

    def sent(self, hold: Any) -> None:
        hold.account.send(hold)

    def settle(self, hold: Any, actual: int) -> None:
        hold.account.settle(hold, actual)


class Reserving(Settling):
    """And the two ways out of a call that was not settled."""

    def release(self, hold: Any) -> None:
        hold.account.release(hold)

    def forfeit(self, hold: Any) -> None:
        hold.account.forfeit(hold)


class Streaming(Settling):
    """And more is reserved for a running call."""

    def extend(self, hold: Any, amount: int) -> None:
        hold.account.extend(hold, amount)


class Slicing(Reserving):
    """And slices."""

    def delegate(self, scope: Any, amount: int) -> Any:
        return scope.delegate(amount)

    def close(self, scope: Any) -> None:
        scope.close()


class Merging(Slicing):
    """And merges."""

    def merge(self, target: Any, source: Any) -> None:
        target.merge(source)


class Calling(Books):
    """The library calls the provider itself; whatever has no bill is written off."""

    gate = Gate.CALL

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        hold = scope.reserve(estimate)
        scope.send(hold)
        try:
            bill = await provider()
        except BaseException:
            scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill
