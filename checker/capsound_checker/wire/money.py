"""What a request costs: usage times price, in exact integers, and how an amount is written for people.

Money is counted in picodollars, as prices are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.intake.limits import DIGITS, cut
from capsound_checker.prices.installed import NotInstalled, installed
from capsound_checker.prices.pricing import PICO, Prices, Tokens, all_rates, dollars
from capsound_checker.wire.dialects.shapes import Usage


class BadCap(CapsoundError):
    """A cap that is no amount."""

    name = "bad-cap"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Unit:
    """What is counted: ``usd`` in picodollars, ``tokens`` and ``requests`` one by one."""

    name: str

    def write(self, amount: int) -> str:
        """Return an amount as a person reads it: ``$0.69``, ``690 tokens``."""
        if self.name == "usd":
            return dollars(amount)
        return f"{amount:,} {self.name if amount != 1 else self.name[:-1]}"


@dataclass(frozen=True, slots=True)
class Cap:
    """A cap: an amount in its unit, picodollars where it is money."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        return self.unit.write(self.amount)


_CAP = re.compile(
    r"\s*\$?\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*(usd|dollars?|\$|tokens?|requests?|calls?)?\s*\Z", re.IGNORECASE
)


def parse_cap(text: str) -> Cap:
    """Return the cap that ``text`` names: ``0.60usd``, ``$5``, ``20000tokens``, ``10requests``. Raises ``BadCap``."""
    hint = "write 0.60usd, 20000tokens or 10requests"
    match = _CAP.match(text)
    if match is None or len(text) > DIGITS:
        raise BadCap(f"{cut(text)!r} is no cap", hint=hint)
    number, unit = Decimal(match[1].replace("_", "")), (match[2] or "usd").lower()
    if unit.startswith(("token", "request", "call")):
        if number != int(number):
            raise BadCap(f"{cut(text)!r} is a part of a {unit}", hint="give a whole number")
        return Cap(int(number), Unit("tokens" if unit.startswith("token") else "requests"))
    scaled = number * PICO
    if scaled != int(scaled):
        raise BadCap(f"{cut(text)!r} is finer than a picodollar", hint=hint)
    return Cap(int(scaled), Unit("usd"))


@dataclass(frozen=True, slots=True)
class Tariff:
    """How usage becomes an amount of the cap's unit: where it is money at the prices of ``book``."""

    unit: Unit
    book: Prices = Prices()
    at: datetime | None = None

    def cost(self, model: str, usage: Usage) -> int | None:
        """Return what a usage costs, in the unit of the cap; None where it is not known."""
        if self.unit.name == "tokens":
            return usage.input + usage.output
        if self.unit.name == "requests":
            return 1
        return self.book.price(_tokens(usage), model, at=self.at).pico


def tariff(unit: Unit, given: Iterable[str], at: datetime) -> Tariff:
    """Return the tariff of prices that are given, and behind them those of ``genai-prices``, where it is installed.

    Raises ``BadPrice``.
    """
    table = None
    if unit.name == "usd":
        with suppress(NotInstalled):
            table = installed()
    return Tariff(unit, Prices(all_rates(given), table), at)


def _tokens(usage: Usage) -> Tokens:
    return Tokens(usage.input, usage.cached, usage.written, usage.output, usage.written_long)
