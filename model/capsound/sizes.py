"""Amounts that have a size in several dimensions: a call that costs 3 of money, 7 tokens, and is one request.

A budget may limit each of them. An adapter that does says so in ``dimensions``; every amount that it is handed is then
a ``Size``: an ``int`` in the first dimension, which knows how large it is in each other one::

    dimensions = ("money", "tokens", "requests")

    def reserve(self, scope, amount):
        return scope.hold(usd=amount, tokens=size_in(amount, "tokens"), calls=size_in(amount, "requests"))
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

REQUESTS = "requests"
"""The dimension in which every call counts one."""


class Size(int):
    """An amount in the first dimension; ``others`` says how large it is in the others."""

    others: Mapping[str, int]

    def __new__(cls, amount: int, others: Mapping[str, int]) -> Self:
        """Return ``amount`` with its sizes."""
        size = super().__new__(cls, amount)
        size.others = MappingProxyType(dict(others))
        return size


def size_in(amount: Any, dimension: str) -> Any:
    """Return how large an amount is in a dimension.

    What has no sizes is the same in each: the first dimension, and whatever is offered as an amount and is none.
    """
    return amount.others.get(dimension, int(amount)) if isinstance(amount, Size) else amount
