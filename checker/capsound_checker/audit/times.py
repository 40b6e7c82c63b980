"""Times as logs write them: numbers that can be compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from capsound_checker.intake.limits import DIGITS, TooMuch, exact

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LONGEST = 64
"""How many characters a time has at most."""


def moment(value: object) -> int | Decimal | None:
    """Return a time as a number that can be compared: a number as it is, an ISO 8601 text as nanoseconds since 1970.

    None for what is no time. A text without an offset counts as UTC; a list of two numbers is seconds and nanoseconds.
    """
    if isinstance(value, list):
        seconds, nanoseconds = value if len(value) == 2 else (None, None)
        if type(seconds) is int and type(nanoseconds) is int and 0 <= nanoseconds < 10**9:
            value = seconds * 10**9 + nanoseconds
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value.bit_length() <= 3 * DIGITS else None
    if isinstance(value, float):
        value = Decimal(value)
        return value if value.is_finite() else None
    if isinstance(value, Decimal):
        try:
            return exact(value)
        except TooMuch:
            return None
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    if value.isascii() and value.isdigit() and len(value) > 8:  # 20260101 is a date, 1767225600 a number
        return int(value) if len(value) <= DIGITS else None
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is None:
            read = read.replace(tzinfo=UTC)
        return (read - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        return None
