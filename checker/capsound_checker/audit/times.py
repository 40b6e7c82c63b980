"""Times as logs write them: numbers that can be compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from capsound_checker.intake.limits import DIGITS, TooMuch, exact

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Units of time, in nanoseconds."""

_LONGEST = 64
"""How many characters a time has at most."""

Moment = int | Decimal


def moment(value: object, unit: int = 1) -> Moment | None:
    """Return a time as a number that can be compared: a number times ``unit``, an ISO 8601 text as nanoseconds.

    Nanoseconds are counted since 1970. None for what is no time. A text without an offset counts as UTC; a list of two
    numbers is seconds and nanoseconds.
    """
    if isinstance(value, list):
        seconds, nanoseconds = value if len(value) == 2 else (None, None)
        if type(seconds) is int and type(nanoseconds) is int and 0 <= nanoseconds < 10**9:
            return moment(seconds * 10**9 + nanoseconds)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value * unit if value.bit_length() <= 3 * DIGITS else None
    if isinstance(value, float):
        value = Decimal(value)
        return value * unit if value.is_finite() else None
    if isinstance(value, Decimal):
        try:
            number = exact(value)
        except TooMuch:
            return None
        return None if number is None else number * unit
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    if value.isascii() and value.isdigit() and len(value) > 8:  # 20260101 is a date, 1767225600 a number
        return int(value) * unit if len(value) <= DIGITS else None
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is None:
            read = read.replace(tzinfo=UTC)
        return (read - EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        return None


def span_of(value: object, unit: int) -> Moment | None:
    """Return how long something took, in nanoseconds; ``unit`` is that of a number. None for what is no such length."""
    if isinstance(value, str) and len(value) <= DIGITS and value.replace(".", "", 1).isdigit() and value.isascii():
        value = Decimal(value)
    if isinstance(value, str):
        return None
    length = moment(value, unit)
    return length if length is None or length >= 0 else None


def as_datetime(nanoseconds: Moment | None) -> datetime | None:
    """Return a time in nanoseconds since 1970 as a date; None where it is none."""
    if nanoseconds is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=int(nanoseconds) // 1000)
    except (OverflowError, ValueError, ArithmeticError):
        return None
