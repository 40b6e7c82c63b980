"""The price of a call: usage times the price of its model, in whole pico-dollars, or the reason why it is not known.

    book = Prices(given=(rates("small=0.15/0.60/0.075"),), table=installed())
    priced = book.price(Tokens(input=1000, cached=800, output=100), "small")
    priced.pico   # 150_000_000: 0.00015 dollars, exactly; None where the price is not known
    priced.micro  # 150: the same in micro-dollars, a Fraction
    priced.why    # "" or one sentence for the user

Prices that the user gives come before those of the table. Nothing passes through a float, nothing is rounded, and what
is not known is None: an unknown model never costs 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Protocol

from capsound.errors import EXIT_USAGE, CapsoundError

PICO = 10**12
"""Pico-dollars in a dollar. A price of 1 dollar for a million tokens is 1,000,000 of them for one token."""


def dollars(pico: int) -> str:
    """Return pico-dollars as a person reads them: ``$0.69``, with as many decimals as are needed, and at least two."""
    whole, rest = divmod(abs(pico), PICO)
    decimals = f"{rest:012d}".rstrip("0").ljust(2, "0")
    return f"{'-' if pico < 0 else ''}${whole:,}.{decimals}"


_MOST = Decimal(10**6)
_PLACES = 6
_ONE = 10**_PLACES
_DIGITS = 40


class BadPrice(CapsoundError):
    """A price that cannot be used; the hint says how one is written."""

    name = "bad-price"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one call used, in tokens: all of them non-negative integers.

    ``cached`` (read from a cache) and ``written`` (to a cache) are parts of ``input``, as is what was neither;
    ``written_long`` is the part of ``written`` that is kept for an hour.
    """

    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0
    written_long: int = 0

    @property
    def odd(self) -> str:
        """What is impossible about these numbers, in words; empty if nothing is."""
        named = (self.input, self.cached, self.written, self.output, self.written_long)
        if min(named) < 0:
            return "a number of tokens is negative"
        if self.cached + self.written > self.input:
            cache = self.cached + self.written
            return f"{cache:,} tokens read from or written to a cache exceed an input of {self.input:,}"
        if self.written_long > self.written:
            return f"{self.written_long:,} tokens are kept for an hour, but only {self.written:,} were written"
        return ""


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of one model, in pico-dollars for one token. None: not told."""

    model: str
    input: int
    output: int
    cached: int | None = None
    written: int | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """What a call cost, in whole pico-dollars; or None, and ``why`` in words."""

    pico: int | None
    why: str = ""

    @property
    def micro(self) -> Fraction | None:
        """The same in micro-dollars, exactly."""
        return None if self.pico is None else Fraction(self.pico, 10**6)


class Table(Protocol):
    """A list of prices that somebody else keeps."""

    @property
    def source(self) -> str:
        """What it is and how old, for reports: a name and a version."""
        ...

    def price(self, tokens: Tokens, model: str, provider: str, at: datetime | None, tier: str) -> Priced:
        """Return what a call cost: see ``Prices.price``."""
        ...


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of models: ``given`` by the user, and behind them a ``table``."""

    given: tuple[Rates, ...] = ()
    table: Table | None = None

    def price(
        self, tokens: Tokens, model: str, *, provider: str = "", at: datetime | None = None, tier: str = ""
    ) -> Priced:
        """Return what a call cost.

        ``model`` is the name in the answer, or in the request. ``provider`` says who sold it, where the log says so;
        ``at`` when, since prices change: without it, a price that has changed is not known. ``tier`` is the service
        tier of the answer, or ``batch``. Never raises for what a log may hold.
        """
        if tokens.odd:
            return Priced(None, tokens.odd)
        if not model:
            return Priced(None, "no model is named")
        for rates in self.given:
            if rates.model == model:
                return _at(rates, tokens)
        if self.table is None:
            return Priced(None, f"no price is given for {model}")
        return self.table.price(tokens, model, provider, at, tier)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the prices come from, for reports."""
        given = (f"prices given for {', '.join(rates.model for rates in self.given)}",) if self.given else ()
        return given if self.table is None else (*given, self.table.source)


def _at(rates: Rates, tokens: Tokens) -> Priced:
    for count, rate, what in ((tokens.cached, rates.cached, "cached"), (tokens.written, rates.written, "written")):
        if count and rate is None:
            return Priced(None, f"{count:,} {what} tokens of {rates.model}: no price is given for them")
    plain = tokens.input - tokens.cached - tokens.written
    return Priced(
        plain * rates.input
        + tokens.cached * (rates.cached or 0)
        + tokens.written * (rates.written or 0)
        + tokens.output * rates.output
    )


def rates(text: str) -> Rates:
    """Return the price that ``MODEL=IN/OUT[/CACHED[/WRITTEN]]`` gives, in dollars for a million tokens.

    Raises ``BadPrice`` for anything else, and for more than 6 decimals: below that a token costs less than a
    pico-dollar.
    """
    model, equals, listed = text.rpartition("=")
    parts = listed.split("/")
    if not equals or not model.strip() or len(parts) not in (2, 3, 4):
        raise BadPrice(f"{text[:80]!r} is no price", hint=_HOW)
    named = [_rate(part, text) for part in parts]
    return Rates(model.strip(), named[0], named[1], *named[2:])


def all_rates(texts: Iterable[str]) -> tuple[Rates, ...]:
    """Return several prices; raises ``BadPrice`` where two are for one model."""
    made = tuple(rates(text) for text in texts)
    names = [one.model for one in made]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise BadPrice(f"there are two prices for {double[:80]!r}", hint="give one for each model")
    return made


def _rate(part: str, text: str) -> int:
    try:
        dollars = Decimal(part.strip()) if part.isascii() and len(part) <= _DIGITS else Decimal("NaN")
    except InvalidOperation:
        dollars = Decimal("NaN")
    if not dollars.is_finite() or dollars.is_signed() or dollars > _MOST:
        raise BadPrice(f"{part[:40]!r} in {text[:80]!r} is no price of a million tokens", hint=_HOW)
    whole = Fraction(dollars) * _ONE
    if whole.denominator != 1:
        raise BadPrice(f"{part[:40]!r} in {text[:80]!r} has more than {_PLACES} decimals", hint=_HOW)
    return int(whole)


_HOW = "write MODEL=IN/OUT[/CACHED[/WRITTEN]] in dollars for a million tokens, for example gpt-4o=2.50/10/1.25"
