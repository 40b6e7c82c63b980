"""Workloads: the calls that a strategy is tried on, with what the provider billed for each.

A strategy is shown ``Seen``; the rest of a ``Call`` is the truth, which it learns after the call or never. Sizes are
in UTF-8 bytes, usage in tokens, money in whole units of the workload (micro-USD, nano-USD).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd
from typing import Final

from capsound.frames import Algebra, IntAlgebra, Num
from capsound.scenario import Prices, Provider

INTS: Final = IntAlgebra()


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a request before it is sent.

    ``bytes`` are those that the caller counts. ``history`` are tokens that were billed earlier, are sent again and are
    *not* among those bytes: 0 where the caller counts all that it sends. ``counted`` is what a token counter said of
    the whole content, template apart; None where none was asked.
    """

    bytes: int
    messages: int = 1
    tools: int = 0
    history: int = 0
    max_output: int = 0
    prices: Prices = Prices()
    counted: int | None = None


def seen_of(text: str, counter: Callable[[str], int] | None = None, *, max_output: int, prices: Prices) -> Seen:
    """Return what is known of a request of one message: the bytes of its text, and what a token counter says of it.

    ``counter`` is any pure function of the text, such as the length of what a tokenizer returns.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    return Seen(size, max_output=max_output, prices=prices, counted=None if counter is None else counter(text))


@dataclass(frozen=True, slots=True)
class Call:
    """A request and the usage that the provider billed for it when it ran to its end."""

    seen: Seen
    input_tokens: int
    output_tokens: int

    @property
    def bill(self) -> int:
        """What the whole call was billed, in units of money."""
        return price(self.seen.prices, self.input_tokens, self.output_tokens)


@dataclass(frozen=True, slots=True)
class Session:
    """Calls that follow from each other: one at a time, in this order, none after the first that is refused."""

    name: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """Sessions, and whether all of them share one cap (``shared``) or each has a cap of its own."""

    name: str
    sessions: tuple[Session, ...]
    shared: bool = False
    unit: str = "units"
    notes: tuple[str, ...] = ()

    @property
    def calls(self) -> Iterator[Call]:
        """All calls, session by session."""
        return (call for session in self.sessions for call in session.calls)


def price(prices: Prices, tokens_in: int, tokens_out: int) -> int:
    """Return the cost of so many tokens, rounded up to a whole unit (as ``capsound.costs`` does)."""
    return -(-(tokens_in * prices.input + tokens_out * prices.output) // prices.per)


def overhead_bound(seen: Seen, provider: Provider) -> int:
    """Return the most input tokens that a provider adds to the content of a request."""
    return provider.template + provider.per_message * seen.messages + provider.per_tool * seen.tools


def input_bound(seen: Seen, provider: Provider, algebra: Algebra = INTS) -> Num:
    """Return the most input tokens that a provider within ``provider`` counts for a request."""
    ratio = provider.tokens_per_byte
    content = algebra.floordiv(seen.bytes * ratio.numerator, ratio.denominator)
    return content + overhead_bound(seen, provider) + seen.history


def broken_premises(call: Call, provider: Provider) -> tuple[str, ...]:
    """Return which of the statements that a proof of A1 rests on this call contradicts.

    ``input`` is the bound on input tokens, ``A6`` the limit on output, ``counter`` that a count is never too low.
    """
    seen, broken = call.seen, []
    if call.input_tokens > input_bound(seen, provider):
        broken.append("input")
    if call.output_tokens > seen.max_output:
        broken.append("A6")
    if seen.counted is not None and call.input_tokens > seen.counted + overhead_bound(seen, provider):
        broken.append("counter")
    return tuple(broken)


def optimum(chains: list[list[int]], cap: int, *, work: int = 2_000_000_000) -> tuple[int, bool]:
    """Return the most that can be billed within ``cap``, and whether that is exact.

    A chain is the bills of one session: an oracle that knows them all runs a beginning of each. The exact answer is a
    subset sum, one bit for each amount; where that takes more than ``work`` bit operations, the answer is the bound
    min(cap, all bills).
    """
    total = sum(map(sum, chains))
    if total <= cap:
        return total, True
    unit = _common(chains)
    width = cap // unit
    if (width + 1) * sum(map(len, chains)) > work:
        return cap, False
    mask = (1 << (width + 1)) - 1
    reached = 1
    for chain in chains:
        before, spent = reached, 0
        for bill in chain:
            spent += bill // unit
            if spent > width:
                break
            reached |= before << spent
        reached &= mask
    return (reached.bit_length() - 1) * unit, True


def _common(chains: list[list[int]]) -> int:
    return gcd(*(bill for chain in chains for bill in chain)) or 1
