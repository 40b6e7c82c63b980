"""Amounts for people: whole numbers of a unit, or dollars where the unit is a part of one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.intake.limits import cut
from capsound_checker.prices.pricing import dollars

PICO_USD = "pico-USD"
"""What calls that have a price are counted in."""

PARTS = {"micro-USD": 6, "nano-USD": 9, PICO_USD: 12}
"""Units that are parts of a dollar: how many decimals a dollar has in each."""

_NUMBER = re.compile(r"\d[\d,]*")
_CAP = re.compile(r"\$\s?(\d[\d_,]*(?:\.\d+)?)|(\d[\d_,]*(?:\.\d+)?)\s?(?:usd|\$)", re.IGNORECASE)
_GROUPED = re.compile(r"\$?\s?\d{1,3}(?:,\d{3})+(?:\.\d+)?\s?(?:usd|\$)?", re.IGNORECASE)
_EXACT = Context(prec=100)


class BadCap(CapsoundError):
    """A cap that cannot be used with this log."""

    name = "bad-cap"
    exit_status = EXIT_USAGE


def amount(number: int, unit: str) -> str:
    """Return an amount as people write it: pico-dollars as dollars, anything else as the number that it is."""
    return dollars(number) if unit == PICO_USD else f"{number:,}"


def sentence(text: str, numbers: Iterable[object], unit: str) -> str:
    """Return a sentence in which amounts are written as people write them. ``numbers`` are the amounts in it."""
    if unit != PICO_USD:
        return text
    known = {number for number in numbers if type(number) is int}

    def written(found: re.Match[str]) -> str:
        number = int(found[0].replace(",", ""))
        return amount(number, unit) if number in known else found[0]

    return _NUMBER.sub(written, text)


def caps_in(texts: Iterable[str], unit: str) -> tuple[int, ...]:
    """Return the caps of lists such as ``'$10,$20'``, each once, in the order in which they were given.

    Raises ``BadCap`` as ``cap_in`` does, and for a number that may be one or a list.
    """
    found: dict[int, None] = {}
    for text in texts:
        if _GROUPED.fullmatch(text.strip()):
            raise BadCap(f"{cut(text, 40)!r} may be one cap or several", hint="write digits without commas: 1000")
        found.update((cap_in(part, unit), None) for part in text.split(","))
    return tuple(found)


def cap_in(text: str, unit: str) -> int:
    """Return a cap in units of ``unit``: a whole number, or dollars (``$10``, ``0.5usd``) where it is a part of one.

    Raises ``BadCap`` for anything else. A bare number of pico-dollars is refused: nobody means one.
    """
    found = _CAP.fullmatch(text.strip())
    if found is None:
        if not text.isascii() or not text.isdigit() or len(text) > 60:
            raise BadCap(f"{cut(text, 40)!r} is no cap", hint="give a whole number, or dollars: '$10' or 10usd")
        if unit == PICO_USD:
            raise BadCap(
                f"{text} of what?", hint=f"calls are counted in dollars here: --cap '${text}' or --cap {text}usd"
            )
        return int(text)
    if unit not in PARTS:
        raise BadCap(
            f"a cap of {cut(text, 40)} needs a log that is counted in dollars",
            cause=f"this one is counted in {cut(unit, 40)}",
            hint="--prices prices tokens by an installed table, --price MODEL=IN/OUT by your own",
        )
    try:
        whole = Decimal((found[1] or found[2]).replace(",", "").replace("_", "")).scaleb(PARTS[unit], _EXACT)
    except InvalidOperation:
        whole = Decimal("NaN")
    if not whole.is_finite() or whole != whole.to_integral_value() or whole.adjusted() > 60:
        raise BadCap(f"{cut(text, 40)} is no whole number of {unit}", hint="give fewer decimals")
    return int(whole)
