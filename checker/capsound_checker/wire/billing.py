"""What the provider bills for a request: from its input alone up to the output that it permits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from capsound_checker.wire.dialects.counting import input_tokens
from capsound_checker.wire.dialects.shapes import Asked, Usage
from capsound_checker.wire.money import Tariff

FREE = frozenset({"429", "500-free"})
"""The acts that are not billed."""


@dataclass(frozen=True, slots=True)
class Bill:
    """The true bill of one request."""

    usage: Usage
    amount: int | None
    """In the unit of the cap; None where the price of the model is not known."""
    ceiling: int | None
    """What the request permits, in the unit of the cap."""
    bounded: bool
    """Whether the request itself limits its output."""


@dataclass(frozen=True, slots=True)
class Billing:
    """How requests are billed in one check."""

    tariff: Tariff
    output: int = 100
    """The output of an answer whose request sets no limit, in tokens."""

    def bill(self, asked: Asked, act: str, earlier: int = 0, decided: Usage | None = None) -> Bill:
        """Return the bill of a request to which ``act`` happens.

        ``earlier`` are tokens of a conversation that the provider keeps and that this request goes on with; ``decided``
        is a usage that somebody has decided on.
        """
        most = asked.limit if asked.limit is not None else self.output * asked.choices
        given = input_tokens(asked) + earlier
        output = min(1, most) if act == "low" else most
        usage = decided or Usage(given, output)
        permitted = Usage(max(given, usage.input), max(most, usage.output))
        if act == "cached":
            usage = replace(usage, cached=usage.input, written=0, written_long=0)
        if act == "over":
            usage = Usage(2 * permitted.input, 2 * permitted.output)
        if act in FREE:
            usage = Usage(0, 0)
        ceiling = self.tariff.cost(asked.model, permitted)
        amount = self.tariff.cost(asked.model, usage) if act not in FREE else 0
        return Bill(usage, amount, ceiling, asked.limit is not None)

    def priced(self, model: str, act: str) -> bool:
        """Whether it is known what a model costs where ``act`` happens: prices of cached tokens need not be given."""
        usage = Usage(1, 1, 1) if act == "cached" else Usage(1, 1)
        return self.tariff.cost(model, usage) is not None
