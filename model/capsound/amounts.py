"""Amounts and identities: every number and every name of the model has a type of its own.

Amounts are non-negative integers of one unit (micro-USD, tokens, ...), never floats: a float ledger drifts,
and a drift of one unit is already a broken promise. Balances are plain ``int``, since a debt is negative.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NewType

from capsound.errors import BadAmount

Amount = NewType("Amount", int)
"""A non-negative quantity of money, in the unit of its scenario."""

Tokens = NewType("Tokens", int)
"""A non-negative number of tokens."""

Bytes = NewType("Bytes", int)
"""A non-negative number of UTF-8 bytes."""

AccountId = NewType("AccountId", str)
"""The name of an account: a root or a slice."""

HoldId = NewType("HoldId", str)
"""The name of a hold (a reservation), unique in a run."""

CallId = NewType("CallId", str)
"""The name of one request to the provider, unique in a run."""

AgentId = NewType("AgentId", str)
"""The name of an agent: whoever makes calls and can crash."""

ZERO = Amount(0)


def as_amount(value: object) -> Amount:
    """Return ``value`` as an amount.

    Raises ``BadAmount`` for everything else: a bool (``True`` would count as one unit), a float (even an
    integral one: its neighbours are not exact), NaN, an infinity, a negative number, a string.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadAmount(value, "an amount is a whole number of units")
    if value < 0:
        raise BadAmount(value, "an amount is never negative")
    return Amount(value)


def as_ratio(value: object) -> Fraction:
    """Return a margin or a price ratio exactly: an int, a ``Decimal``, or a text such as ``3/2`` or ``1.875``.

    Raises ``BadAmount`` for floats, NaN, infinities, negative numbers and text that is not a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal | Fraction):
        raise BadAmount(value, "a ratio is a whole number, an exact decimal or a text such as '3/2'")
    try:
        ratio = Fraction(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise BadAmount(value, "a ratio is a finite number such as 2, 1.875 or '3/2'") from None
    if ratio < 0:
        raise BadAmount(value, "a ratio is never negative")
    return ratio
