"""Several dimensions: what an adapter declares of them, how large an amount is in each, and a budget seen in one.

How large the amount of a step is in a further dimension follows from the number of its call or account, so that a
program says all. Calls differ in it, and so do accounts: one binds in money, the next in tokens.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

from capsound.adapter import Adapter, Provider, offers
from capsound.sizes import REQUESTS, Size
from capsound_checker.programs.failing import AdapterFailed


def dimensions(adapter: Adapter | type[Adapter]) -> tuple[str, ...]:
    """Return the dimensions that an adapter declares, the first of them being that of amounts; none where it has one.

    Raises ``AdapterFailed`` for what names no dimensions.
    """
    cls = adapter if isinstance(adapter, type) else type(adapter)
    known = _KNOWN.get(cls)
    if known is None:
        known = _KNOWN[cls] = _declared(cls)
    return known


_KNOWN: weakref.WeakKeyDictionary[type[Adapter], tuple[str, ...]] = weakref.WeakKeyDictionary()

_LONGEST = 40


def _declared(cls: type[Adapter]) -> tuple[str, ...]:
    said: Any = cls.dimensions
    cause, hint = "", ""
    if not isinstance(said, tuple | list) or not all(isinstance(name, str) for name in said):
        cause, hint = "it is a tuple of names", 'such as ("money", "tokens", "requests")'
    elif odd := [name for name in said if not name.isidentifier() or not name.isascii() or len(name) > _LONGEST]:
        cause, hint = f"{odd[0]!r} is no name", "letters, digits and underscores"
    elif len(set(said)) != len(said) or len(said) == 1:
        cause, hint = "each is named once, and there are two at least", "one dimension needs no declaration"
    elif said and said[0] == REQUESTS:
        cause, hint = "every call counts one request, so that amounts cannot be in them", "name another one first"
    if cause:
        raise AdapterFailed(f"{cls.__name__}.dimensions is {said!r}", cause=cause, hint=hint)
    return tuple(said)


# --------------------------------------------------------------------------------- how large a step is

_HELD = (2, 1, 3, 1)
"""How many units a call keeps in a further dimension for each unit of its estimate, by the number of the call."""

_BILLED = (2, 1, 2, 0)
"""How many it is billed for each unit of its bill: at most what it keeps, so that bills stay within holds together."""

_CAPS = (1, 2, 200)
"""How many an account may spend for each unit of its cap; the last is more than calls ask for."""

_CALLS = (200, 2, 200, 4, 1)
"""How many calls an account allows."""

CAPS = (3, 12, 4, 12, 6)
"""The caps of accounts with several dimensions; at the largest, money is rarely what binds."""


def cap_sizes(names: tuple[str, ...], number: int, cap: int) -> dict[str, int]:
    """Return the caps of an account in the further dimensions."""
    return {
        name: _CALLS[(number + cap) % len(_CALLS)]
        if name == REQUESTS
        else cap * _CAPS[(number + cap + at) % len(_CAPS)]
        for at, name in enumerate(names[1:])
    }


def held_sizes(names: tuple[str, ...], hold: int, amount: int, *, requests: int = 1) -> dict[str, int]:
    """Return how much a call keeps in the further dimensions; what extends a hold is no request more."""
    return {
        name: requests if name == REQUESTS else amount * _HELD[(hold + at) % len(_HELD)]
        for at, name in enumerate(names[1:])
    }


def billed_sizes(names: tuple[str, ...], hold: int, bill: int, *, requests: int = 1) -> dict[str, int]:
    """Return how much a call is billed in the further dimensions for so many requests."""
    return {
        name: requests if name == REQUESTS else bill * _BILLED[(hold + at) % len(_BILLED)]
        for at, name in enumerate(names[1:])
    }


# ------------------------------------------------------------------------------------ seen in one dimension

_AMPLE = 10**9
"""A cap that no program comes near: in all dimensions but the one that is looked at."""


def seen_in(adapter: type[Adapter], dimension: str) -> type[Adapter]:
    """Return an adapter as a budget in one of its dimensions: in each other one there is room for everything.

    Raises ``AdapterFailed`` where it does not have that dimension.
    """
    names = dimensions(adapter)
    if dimension not in names:
        raise AdapterFailed(
            f"{adapter.__name__} has no dimension {dimension!r}",
            cause=f"it declares {', '.join(names) or 'none'}",
            hint="replay it on the adapter that it was found with",
        )
    first = names[0]

    def sized(amount: Any, others: int) -> Any:
        """Return an amount of the dimension as it is handed to the adapter; what is no amount stays what it is."""
        if type(amount) is not int:
            return amount
        sizes = {name: 1 if name == REQUESTS and others < _AMPLE else others for name in names}
        sizes[dimension] = amount
        return Size(sizes.pop(first), sizes)

    def asked(name: str, others: int) -> Callable[..., Any]:
        def operation(self: Adapter, *args: Any) -> Any:
            *handle, amount = args
            return getattr(adapter, name)(self, *handle, sized(amount, others))

        async def waiting(self: Adapter, *args: Any) -> Any:
            return await operation(self, *args)

        return waiting if inspect.iscoroutinefunction(getattr(adapter, name)) else operation

    async def call(self: Adapter, scope: Any, estimate: int, provider: Provider) -> Any:
        async def told() -> Any:
            return sized(await provider(), 1)

        return await adapter.call(self, scope, sized(estimate, 1), told)

    mine = offers(adapter)
    space: dict[str, Any] = {"dimensions": (), "__module__": adapter.__module__, "__doc__": adapter.__doc__}
    for name, others in _AMOUNTS.items():
        if name in mine:
            space[name] = asked(name, others)
    if "call" in mine:
        space["call"] = call
    if dimension != first:
        space |= _readings(adapter, dimension)
    return type(adapter.__name__, (adapter,), space)


def each_dimension(adapter: type[Adapter]) -> list[type[Adapter]]:
    """Return an adapter as a budget in each dimension in which amounts are: itself, where it has only one."""
    return [seen_in(adapter, name) for name in dimensions(adapter) if name != REQUESTS] or [adapter]


_AMOUNTS = {
    "open": _AMPLE,
    "ceiling": _AMPLE,
    **dict.fromkeys(("reserve", "charge", "check", "record", "settle", "extend"), 1),
}
"""The operations that take an amount, and how large that is in the dimensions that are not looked at."""


def _readings(adapter: type[Adapter], dimension: str) -> dict[str, Any]:
    """Return the operations that read a scope, in a dimension other than the first."""
    if "observe_in" not in offers(adapter):
        return {name: getattr(Adapter, name) for name in (*_READ, "balances", "observe")}

    def reading(at: int) -> Callable[[Adapter, Any], Any]:
        return lambda self, scope: self.observe_in(scope, dimension)[at]

    mine = offers(adapter)
    space: dict[str, Any] = {name: reading(at) for at, name in enumerate(_READ) if name in mine}
    return {**space, "balances": Adapter.balances, "observe": Adapter.observe}


_READ = ("spent", "held", "remaining")
