"""How much of anything is taken from outside: depth, digits, exponents, lines, names, and what is quoted of them.

A reader that takes whatever comes can be made to recurse, to fill the memory or to print for minutes, by a single line.
The limits are far above what is real: they end a reading with a sentence, and never with a crash.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from capsound_checker.display.printing import printable

DEPTH = 64
"""How deeply lists and objects may be nested."""

DIGITS = 60
"""How many digits a number may have, and how far its exponent may reach in either direction."""

NAME = 500
"""How many characters a name may have: of an account, a hold, a call, an agent."""

LINE = 16 << 20
"""How many bytes a line may have."""

DOCUMENT = 64 << 20
"""How many characters a document that is read as a whole may have."""

FILE = 1 << 20
"""How many bytes a file may have that people write by hand."""

QUOTED = 200
"""How many characters of something from outside are shown."""

_SHORT = 200
"""A text of so many characters is within every limit: half of them would be brackets at ``DEPTH`` and beyond."""

_BITS = 200
"""What 60 digits need."""


class TooMuch(ValueError):
    """Something from outside is beyond a limit; the text says which, in words for the user."""


def cut(text: str, most: int = QUOTED) -> str:
    """Return a text from outside as it can be shown: printable, on one line, and not longer than ``most``."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most and len(text) <= most else f"{shown[: max(0, most - 3)]}..."


def excerpt(text: str, most: int = QUOTED) -> str:
    """Return a text from outside as it can be shown, with its length where not all of it is."""
    text = text.rstrip("\n")
    shown = printable(text[:most])
    return shown if len(text) <= most else f"{shown}... ({len(text)} characters)"


def read_json(text: str | bytes, **how: Any) -> Any:
    """Return what a line of JSON says; ``how`` goes to ``json.loads``.

    Raises ``ValueError`` for what is no JSON, and ``TooMuch``, which is one, for what is beyond a limit.
    """
    try:
        data = json.loads(text, **how)
    except RecursionError:
        raise TooMuch("it is nested too deeply") from None
    except ValueError as error:
        if type(error) is ValueError and "4300 digits" in str(error):  # of so many Python reads no number
            raise TooMuch(f"a number has more than {DIGITS} digits") from None
        raise
    if len(text) > _SHORT:
        check_data(data)
    return data


def check_size(text: str, data: Any) -> None:
    """Raise ``TooMuch`` where ``data``, which was read from ``text``, is nested too deeply or has too long a number."""
    if len(text) > _SHORT:
        check_data(data)


def check_data(data: Any) -> None:
    """Raise ``TooMuch`` where data are nested too deeply or hold a number that is too long."""
    level: list[Any] = [data]
    for _ in range(DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is dict:
                inner += value.values()
            elif kind is list:
                inner += value
            elif kind is int and value.bit_length() > _BITS:
                raise TooMuch(f"a number has more than {DIGITS} digits")
        if not inner:
            return
        level = inner
    raise TooMuch(f"it is nested too deeply: more than {DEPTH} levels")


def exact(value: int | str | Decimal) -> Decimal | None:
    """Return a number as it is written, exactly; None for what is no finite number.

    Raises ``TooMuch`` for a number with too many digits, or with an exponent out of all proportion.
    """
    if isinstance(value, str) and len(value) > 4 * DIGITS:
        raise TooMuch(f"{cut(value, 40)} is too long for a number")
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise TooMuch(f"a number has more than {DIGITS} digits")
    try:
        number = Decimal(value)
    except ArithmeticError:
        # What has digits and an exponent that Decimal refuses is a number all the same, and no other text is.
        if isinstance(value, str) and value.strip("+-0123456789.eE ") == "" and any(c.isdigit() for c in value):
            raise TooMuch(f"{cut(value, 40)} is out of all proportion") from None
        return None
    if not number.is_finite():
        return None
    if number and not -DIGITS <= number.adjusted() <= DIGITS:
        raise TooMuch(f"{number:.3e} is out of all proportion")
    if len(str(number)) > 4 * DIGITS:
        raise TooMuch(f"a number has more than {DIGITS} digits")
    return number
