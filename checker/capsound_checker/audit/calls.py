"""What one call was billed, from the usage in a record: at least so much, at most so much, in tokens or in money.

A record says which tokens went in, which came out, and how many may have come out. What it does not say is no zero:
without the output a call cost at most what was allowed, without the input nothing bounds it, and neither does anything
bound one that failed. In money the same tokens are priced; a model without a price has no upper end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from capsound_checker.audit.doubts import audio_tokens
from capsound_checker.audit.times import Moment, as_datetime, moment
from capsound_checker.audit.values import Absent, BadRecord, Get, Record, as_number, shown
from capsound_checker.intake.limits import cut
from capsound_checker.prices.pricing import PICO, Prices, Tokens

INSIDE, BESIDE_INPUT = "inside", "beside"
"""Whether the tokens of caches are part of the input that a record tells, or come on top of it."""

TOKENS, DOLLARS = "tokens", "dollars"
"""What a call is counted in."""

OF_TOKENS = ("input", "cached", "written", "written_long", "output", "allowed", "twice")
"""The numbers of tokens that a record may tell."""


class Noted(dict[str, Any]):
    """An event with what its record tells of it beside: the model, and the agent of a cost without a call.

    ``ranged`` says that such a cost is known in part: it may have been ``more`` than its amount (None: no end).
    """

    __slots__ = ("agent", "model", "more", "ranged")

    def __init__(self, data: Mapping[str, Any], *, model: str = "", agent: str = "") -> None:
        super().__init__(data)
        self.model, self.agent = model, agent
        self.ranged = False
        self.more: int | None = 0


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call was billed, in whole units: ``low`` to ``high`` (None: no upper end).

    ``hold`` stands for its hold: what was used with the output that was allowed.
    """

    low: int
    high: int | None
    hold: int
    unpriced: str = ""
    """Why it has no price, in words."""
    silent: bool = False
    """Whether the record says nothing at all of what was used, and of no failure."""


@dataclass(frozen=True, slots=True)
class Money:
    """How calls are counted: in tokens, or in pico-dollars by these prices.

    Where they have no price of a model, what the record itself says that the call cost is taken.
    """

    prices: Prices | None = None
    """None: in tokens."""


@dataclass(frozen=True, slots=True)
class CallSpec:
    """Where a record says what one call used. Every field but ``id`` may be absent, in a mapping and in a record."""

    key: str
    ident: Get
    account: Get
    agent: Get | None
    began: Get | None
    ended: Get | None
    numbers: tuple[tuple[str, Get], ...]
    """Of ``OF_TOKENS``, where each is."""
    names: tuple[tuple[str, Get], ...]
    """``model``, ``provider`` and ``tier``."""
    cost: Get | None
    """What the record itself says that it cost, in dollars."""
    cache: str = INSIDE
    unknown_zero: frozenset[str] = frozenset()
    """Of ``input`` and ``output``: what is written as 0 by those who do not know it."""
    failed: tuple[Callable[[Record], bool], ...] = ()
    """Any of these: what it cost is not known."""
    required: frozenset[str] = frozenset()
    """Of ``OF_TOKENS``, what every record of this kind tells: without it nothing bounds what the call cost."""
    sums: bool = False
    """Whether a record is the sum of many calls: then it is a cost, and no call."""
    free: tuple[Callable[[Record], bool], ...] = ()
    """Any of these: it cost nothing, whatever it used, as what a gateway answers from its own cache."""
    resent: tuple[Callable[[Record], bool], ...] = ()
    """Any of these: who wrote it does not tell of requests that were sent again."""
    writer: Get | None = None
    """Who wrote it."""

    def bill(self, record: Record, money: Money) -> Bill:
        """Return what the call of a record was billed. Raises ``BadRecord`` for what is no number."""
        if any(holds(record) for holds in self.free):
            return Bill(0, 0, 0)
        used = self._used(record)
        count = used.get
        failed = any(holds(record) for holds in self.failed) or not self.required <= used.keys()
        input_, output, allowed = count("input"), count("output"), count("allowed")
        spent = Tokens(
            input=input_ or 0,
            cached=count("cached") or 0,
            written=count("written") or 0,
            output=max(0, (output or 0) - (count("twice") or 0)),
            written_long=count("written_long") or 0,
        )
        most: Tokens | None = None
        if not failed and input_ is not None:
            out = output if output is not None else None if allowed is None else max(0, allowed)
            most = None if out is None else _out(spent, out)
        hold = _out(spent, max(allowed or 0, spent.output) if allowed is not None else output or 0)
        if money.prices is None:
            low = spent.input + spent.output
            silent = not failed and "input" not in used and not output
            high = None if most is None else most.input + most.output
            return Bill(low, high, hold.input + hold.output, silent=silent)
        return self._priced(record, money, (spent, most, hold), failed)

    def _used(self, record: Record) -> dict[str, int]:
        """Return the tokens that a record tells, by name; what it does not tell is not there."""
        used: dict[str, int] = {}
        for name, get in self.numbers:
            try:
                value = get(record)
            except Absent:
                continue
            if value is None:
                continue
            if not isinstance(value, int) or value < 0:
                raise BadRecord(f"{shown(value)} is no number of tokens: {name!r} of {self.key}")
            if value or name not in self.unknown_zero:
                used[name] = value
        if self.cache == BESIDE_INPUT and "input" in used:
            used["input"] += used.get("cached", 0) + used.get("written", 0)
        return used

    def _priced(self, record: Record, money: Money, used: tuple[Tokens, Tokens | None, Tokens], failed: bool) -> Bill:
        spent, most, hold = used
        prices = money.prices
        assert prices is not None
        names = {name: _text(get, record) for name, get in self.names}
        model = names.get("model", "")
        when = as_datetime(self.time(record))

        def price(tokens: Tokens) -> tuple[int | None, str]:
            made = prices.price(tokens, model, provider=names.get("provider", ""), at=when, tier=names.get("tier", ""))
            return made.pico, made.why

        told = None if self.cost is None else _dollars(self.cost, record)
        if self.cost is not None and not self.numbers:
            return Bill(
                told or 0, None if failed or told is None else told, told or 0, "" if told is not None else _NO_COST
            )
        if spent == Tokens() and most == spent:
            return Bill(0, 0, 0)
        if sound := audio_tokens(record):
            if told:
                return Bill(told, None if failed else told, told)
            return Bill(0, None, 0, f"audio has a price of its own: {cut(sound, 80)}")
        if self.sums and most is not None and not _linear(most, price):
            low, why = None, f"the price of {model} depends on the length of each request"
        else:
            low, why = price(spent)
        if low is None:
            if told:
                return Bill(told, None if failed else told, told)
            return Bill(0, None, 0, "" if most is None else why)
        high = None if most is None else price(most)[0]
        return Bill(low, high, price(hold)[0] or low)

    def time(self, record: Record) -> Moment | None:
        """Return when a call was made, in nanoseconds since 1970; None where it is not known."""
        for get in (self.began, self.ended):
            if get is not None:
                try:
                    found = moment(get(record))
                except Absent:
                    continue
                if found is not None:
                    return found
        return None

    def events(self, record: Record, bill: Bill) -> tuple[tuple[object, dict[str, Any]], ...]:
        """Return the events that a call with this bill becomes, each with its time."""
        if self.sums:
            cost: dict[str, Any] = {"event": "record", "account": self.account(record), "amount": bill.low}
            noted = self._noted(cost, record)
            noted.ranged, noted.more = bill.high != bill.low, None if bill.high is None else bill.high - bill.low
            return ((_time(self.began, record), noted),)
        call = str(self.ident(record))
        began, ended = _time(self.began, record), _time(self.ended, record)
        held: dict[str, Any] = {
            "event": "reserve",
            "account": self.account(record),
            "hold": call,
            "amount": bill.hold,
        }
        if self.agent is not None and (agent := _text(self.agent, record)):
            held["agent"] = agent
        reserve = self._noted(held, record)
        billed: dict[str, Any] = {"event": "bill", "call": call, "amount": bill.low}
        if bill.high != bill.low:
            billed["at_most"] = bill.high
        return (
            (began, reserve),
            (began, {"event": "send", "hold": call, "call": call}),
            (ended, billed),
            (ended, {"event": "settle", "hold": call, "amount": bill.low}),
        )

    def _noted(self, event: dict[str, Any], record: Record) -> Noted:
        """Return an event with the model and the agent of its record."""
        model = next((_text(get, record) for name, get in self.names if name == "model"), "")
        agent = "" if self.agent is None else _text(self.agent, record)
        return Noted(event, model=model, agent=agent)

    def hides_retries(self, record: Record) -> bool:
        """Return whether whoever wrote this record does not tell of requests that were sent again."""
        return any(holds(record) for holds in self.resent)

    def written_by(self, record: Record) -> str:
        """Return who wrote a record, in words; empty where that is not told."""
        writer = "" if self.writer is None else _text(self.writer, record)
        return writer and f"written by {writer}"


def call_fields() -> Iterator[str]:
    """Yield the names that a ``call`` of a mapping may have, beside ``id``."""
    yield from ("account", "agent", "began", "ended", *OF_TOKENS, "model", "provider", "tier", "cost")


def _linear(tokens: Tokens, price: Callable[[Tokens], tuple[int | None, str]]) -> bool:
    """Return whether many tokens cost as much as each of them by itself: of a sum nothing else is known."""
    parts = (
        (tokens.input - tokens.cached - tokens.written, Tokens(1)),
        (tokens.cached, Tokens(1, cached=1)),
        (tokens.written - tokens.written_long, Tokens(1, written=1)),
        (tokens.written_long, Tokens(1, written=1, written_long=1)),
        (tokens.output, Tokens(output=1)),
    )
    total = price(tokens)[0]
    ones = [(count, price(one)[0]) for count, one in parts if count]
    return total is None or total == sum(count * (one or 0) for count, one in ones)


_NO_COST = "it does not say what it cost"


def _out(tokens: Tokens, output: int) -> Tokens:
    return Tokens(tokens.input, tokens.cached, tokens.written, output, tokens.written_long)


def _time(get: Get | None, record: Record) -> object:
    if get is None:
        return None
    try:
        return get(record)
    except Absent:
        return None


def _text(get: Get, record: Record) -> str:
    try:
        return str(get(record))
    except (Absent, BadRecord):
        return ""


def _dollars(get: Get, record: Record) -> int | None:
    """Return what a record says that it cost, to the nearest pico-dollar; None where it does not say.

    Such costs are sums of floats: beyond that they are noise.
    """
    try:
        dollars = as_number(get(record))
    except Absent:
        return None
    if dollars is None:
        return None
    if dollars < 0:
        raise BadRecord(f"{float(dollars):g} is no cost: it is negative")
    return int(dollars * PICO + Fraction(1, 2))
