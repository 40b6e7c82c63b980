"""Sound budgets with a cap in money, in tokens and in requests, in plain Python, and the adapter over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from capsound.adapter import Adapter
from capsound.sizes import size_in

NAMES = ("money", "tokens", "requests")

Amounts = Mapping[str, int]


class Over(Exception):
    """It does not fit; nothing has changed."""


class Wrong(Exception):
    """Not an amount, or not legal now."""


class Used(Exception):
    """The handle was used up before."""


def whole(amounts: Mapping[str, Any]) -> Amounts:
    """Return ``amounts`` if all are whole numbers of units, and raise ``Wrong`` for anything else."""
    for value in amounts.values():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Wrong(f"{value!r} is not an amount")
    return amounts


class Unique:
    """A handle that cannot be copied."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle cannot be copied")


class Hold(Unique):
    """What is kept for one call, in each budget that it counts in."""

    def __init__(self, budgets: list[Budget], amounts: Amounts) -> None:
        self.budgets = budgets
        self.amounts = amounts
        self.sent = False
        self.done = False


class Budget(Unique):
    """A cap in each dimension, and all that counts under it."""

    def __init__(self, caps: Amounts, parent: Budget | None = None) -> None:
        self.caps = whole(caps)
        self.parent = parent
        self.spent = dict.fromkeys(NAMES, 0)
        self.held = dict.fromkeys(NAMES, 0)

    @property
    def path(self) -> list[Budget]:
        return [self, *(self.parent.path if self.parent else [])]

    def free(self, name: str) -> int:
        return self.caps[name] - self.spent[name] - self.held[name]

    def require_room(self, name: str, amounts: Amounts) -> None:
        if amounts[name] > self.free(name):
            raise Over(f"{amounts[name]} {name} do not fit: {self.free(name)} are free")

    def hold(self, name: str, amounts: Amounts) -> None:
        self.held[name] += amounts[name]

    def reserve(self, amounts: Amounts) -> Hold:
        whole(amounts)
        for budget in self.path:
            for name in NAMES:
                budget.require_room(name, amounts)
        for budget in self.path:
            for name in NAMES:
                budget.hold(name, amounts)
        return Hold(self.path, amounts)

    def resolve(self, hold: Hold, costs: Amounts) -> None:
        whole(costs)
        if hold.done:
            raise Used("the hold was resolved")
        hold.done = True
        for budget in hold.budgets:
            for name in NAMES:
                budget.held[name] -= hold.amounts[name]
                budget.spent[name] += costs[name]


class Dimensions(Adapter):
    """Opens budgets and reads them."""

    of: ClassVar[type[Budget]] = Budget
    dimensions = NAMES
    strict = True
    refused = (Over,)
    rejected = (Wrong,)
    stale = (Used,)

    def amounts(self, amount: int) -> Amounts:
        return {name: size_in(amount, name) for name in NAMES}

    def open(self, cap: int) -> Any:
        return self.of(self.amounts(cap))

    def ceiling(self, scope: Any, cap: int) -> Any:
        return self.of(self.amounts(cap), scope)

    def reserve(self, scope: Any, amount: int) -> Any:
        return scope.reserve(self.amounts(amount))

    def sent(self, hold: Any) -> None:
        if hold.done:
            raise Used("the hold was resolved")
        hold.sent = True

    def settle(self, hold: Any, actual: int) -> None:
        hold.budgets[0].resolve(hold, self.amounts(actual))

    def release(self, hold: Any) -> None:
        if hold.sent and not hold.done:
            raise Wrong("the request has left: its cost is open")
        hold.budgets[0].resolve(hold, dict.fromkeys(NAMES, 0))

    def forfeit(self, hold: Any) -> None:
        hold.budgets[0].resolve(hold, hold.amounts)

    def observe_in(self, scope: Any, dimension: str) -> tuple[int, int, int]:
        return scope.spent[dimension], scope.held[dimension], scope.free(dimension)

    def spent(self, scope: Any) -> int:
        return self.observe_in(scope, "money")[0]

    def held(self, scope: Any) -> int:
        return self.observe_in(scope, "money")[1]

    def remaining(self, scope: Any) -> int:
        return self.observe_in(scope, "money")[2]
