"""Money in the unit of the file: quoted decimals in, exact integers out.

``cap = "50.00"`` is fifty of ``unit``, whatever that is. One scale is chosen for the file, the smallest power of ten in
which every amount, and every price of one token, is a whole number; inside, amounts are whole numbers of that. A file
without a quoted decimal has the scale 1, and everything is as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from capsound.loading.limits import LARGE_CURE, MAX_NUMBER
from capsound.loading.problems import Notes
from capsound.loading.taming import stand_in
from capsound.loading.words import show, spell
from capsound.positions import KeyPath

DIGITS = 18
"""How many digits a quoted decimal may have on each side of its point."""

_DECIMAL = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LIKE = re.compile(r"[-+.$€£0-9]")
_DELEGATE = re.compile(r"(\s*delegate\s+\S+\s+)([0-9]{1,18}(?:\.[0-9]{1,18})?)(?=\s)")

_IN_TABLES = {
    "slices": ("grant",),
    "agents": ("slice",),
    "calls": ("estimate", "bill", "chunk"),
    "ceilings": ("cap",),
}
_PRICES = ("input", "output", "cached")


@dataclass(frozen=True, slots=True)
class Scale:
    """How money is counted: one of the file's unit is ``10**digits`` inside, and printed with ``places`` decimals."""

    digits: int = 0
    places: int = 0


WHOLE = Scale()
"""The scale of a file without decimals."""


@dataclass(frozen=True, slots=True)
class _Amount:
    """An amount of the file: where it is, what holds it under which key, and whether it is a price."""

    path: KeyPath
    holder: Any
    key: Any
    price: bool = False

    @property
    def value(self) -> Any:
        return self.holder[self.key]


def count_money(data: dict[str, Any], notes: Notes) -> Scale:
    """Turn every amount of ``data`` into a whole number, in place, and return the scale.

    Blames what is no exact amount: floats, signs, too many digits.
    """
    amounts = [amount for amount in _amounts(data) if _readable(amount, notes)]
    lines = list(_delegations(data))
    quoted = [amount for amount in amounts if isinstance(amount.value, str)]
    decimals = [line for line in lines if "." in line.value]
    if not quoted and not decimals:
        return Scale()
    _spell_out_prices(data)
    amounts = list(_amounts(data))
    digits = max(
        _digits(Fraction(text)) or 0 for text in ["0", *(a.value for a in quoted if not a.price), *_told(lines)]
    )
    per = _per(data)
    for amount in (a for a in amounts if a.price):
        needed = _digits(Fraction(str(amount.value)) / per)
        if needed is None:
            message = f"a price for {per} tokens is no finite decimal for one of them"
            notes.value(("prices", "per"), message, "give the price of 1_000_000 tokens, or of another power of ten")
            continue
        digits = max(digits, needed)
    places = [len(amount.value.partition(".")[2]) for amount in quoted if not amount.price]
    places += [len(text.partition(".")[2]) for text in _told(lines)]
    amounts = _fitting(amounts, digits, per, notes)
    lines = _fitting_lines(lines, digits, notes)
    for amount in amounts:
        value = Fraction(str(amount.value)) * 10**digits / (per if amount.price else 1)
        amount.holder[amount.key] = int(value)
    for line in lines:
        line.holder[line.key] = _DELEGATE.sub(lambda m: m[1] + str(int(Fraction(m[2]) * 10**digits)), line.value)
    if isinstance(data["prices"], dict):
        data["prices"]["per"] = 1
    return Scale(digits, max([0, *places]))


def _amounts(data: dict[str, Any]) -> Iterator[_Amount]:
    """Yield every amount and every price that is written as a number or as a text."""
    todo: list[_Amount] = [_Amount((key,), data, key) for key in ("cap", "spent")]
    for name, keys in _IN_TABLES.items():
        tables = data.get(name)
        for number, table in enumerate(tables if isinstance(tables, list) else ()):
            if isinstance(table, dict) and table.get("dimension", "money") == "money":
                todo += [_Amount((name, number, key), table, key) for key in keys]
    if isinstance(table := data.get("discipline"), dict):
        todo.append(_Amount(("discipline", "lag"), table, "lag"))
    if isinstance(expect := data.get("expect"), dict):
        todo.append(_Amount(("expect", "overshoot"), expect, "overshoot"))
    if isinstance(prices := data.get("prices"), dict):
        todo += [_Amount(("prices", key), prices, key, price=True) for key in _PRICES]
    for amount in todo:
        value = amount.holder.get(amount.key)
        if isinstance(value, dict) and not amount.price:
            yield from (
                _Amount((*amount.path, key), value, key) for key in ("min", "max") if _is_amount(value.get(key))
            )
        elif isinstance(value, list) and amount.price:
            for number, tier in enumerate(value):
                if isinstance(tier, dict) and _is_amount(tier.get("price")):
                    yield _Amount((*amount.path, number, "price"), tier, "price", price=True)
        elif _is_amount(value):
            yield amount


def _is_amount(value: object) -> bool:
    return (isinstance(value, int | Decimal) and not isinstance(value, bool)) or (
        isinstance(value, str) and bool(_LIKE.match(value))
    )


def _delegations(data: dict[str, Any]) -> Iterator[_Amount]:
    """Yield the lines of programs that delegate an amount."""
    agents = data.get("agents")
    for number, table in enumerate(agents if isinstance(agents, list) else ()):
        program = table.get("program") if isinstance(table, dict) else None
        for line, text in enumerate(program if isinstance(program, list) else ()):
            if isinstance(text, str) and _DELEGATE.match(text):
                yield _Amount(("agents", number, "program", line), program, line)


def _told(lines: list[_Amount]) -> list[str]:
    return [found[2] for line in lines if (found := _DELEGATE.match(line.value))]


def _readable(amount: _Amount, notes: Notes) -> bool:
    """Return whether an amount can be counted with; blame it if not, and let the schema see a tame one."""
    value = amount.value
    if isinstance(value, int):
        return value >= 0
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return True
    name = str(amount.path[-1])
    if isinstance(value, Decimal):
        message = f"is {show(value)}, a float: not every amount has one"
        cure = f'quote it, as in {name} = "{abs(value)}", or count in the smallest unit, for example micro-USD'
    elif value.startswith("-"):
        message, cure = f"is {show(value)}, which is negative", "give an amount of at least 0"
    elif re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        message, cure = (
            f"has too many digits: {show(value)}",
            f"{DIGITS} on each side of the decimal point are the most",
        )
    else:
        plain = re.sub(r"^[^0-9.]+|[^0-9]+$|[\s_']", "", value)
        whole, comma, part = plain.rpartition(",")
        if comma and "." not in part and len(part) != 3:  # no group of thousands: it is where the fraction begins
            plain = f"{re.sub('[.,]', '', whole)}.{part}"
        plain = plain.replace(",", "")
        example = plain if _DECIMAL.fullmatch(plain) else "50.00"
        message, cure = (
            f"is {show(value)}, which is no amount",
            f'write digits and one point, as in {name} = "{example}"',
        )
    notes.value(amount.path, f"{spell(amount.path)} {message}", cure)
    _tame(amount, notes)
    return False


def _tame(amount: _Amount, notes: Notes) -> None:
    """Put a stand-in where an amount was blamed."""
    notes.blamed.add(amount.path)
    amount.holder[amount.key] = stand_in(amount.path)


def _digits(value: Fraction) -> int | None:
    """Return how many decimals a number has, None for one that never ends."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def _per(data: dict[str, Any]) -> int:
    prices = data.get("prices")
    per = prices.get("per", 1) if isinstance(prices, dict) else 1
    return per if isinstance(per, int) and not isinstance(per, bool) and per > 0 else 1


def _fitting(amounts: list[_Amount], digits: int, per: int, notes: Notes) -> list[_Amount]:
    """Return the amounts that are numbers that a scenario may hold, in this scale; blame those that are not."""
    fitting = []
    for amount in amounts:
        if Fraction(str(amount.value)) * 10**digits > MAX_NUMBER * (per if amount.price else 1):
            message = f"{spell(amount.path)} has too many digits: {digits} decimals are needed in this file"
            notes.value(amount.path, message, f"give prices and amounts fewer decimals, or {LARGE_CURE}")
            _tame(amount, notes)
        else:
            fitting.append(amount)
    return fitting


def _fitting_lines(lines: list[_Amount], digits: int, notes: Notes) -> list[_Amount]:
    """Return the lines of programs whose amounts fit; blame the others."""
    fitting = []
    for line in lines:
        if any(Fraction(text) * 10**digits > MAX_NUMBER for text in _told([line])):
            notes.value(line.path, f"{spell(line.path)} has too many digits", LARGE_CURE)
            notes.blamed.add(line.path)
        else:
            fitting.append(line)
    return fitting


def _spell_out_prices(data: dict[str, Any]) -> None:
    """Write down the prices that the file leaves out: they are amounts of its unit, too."""
    prices = data.setdefault("prices", {})
    if isinstance(prices, dict):
        for key in ("input", "output"):
            prices.setdefault(key, 1)
