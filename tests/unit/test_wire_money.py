"""What a request costs on the wire: all that a vendor bills reaches the prices."""

from __future__ import annotations

from datetime import datetime

from capsound_checker.prices.pricing import Priced, Prices, Tokens
from capsound_checker.wire.dialects.shapes import Usage
from capsound_checker.wire.money import Tariff, Unit


class Table:
    """A list of prices in which a token that is kept for an hour costs twice one that is not."""

    source = "a test"

    def price(self, tokens: Tokens, model: str, provider: str, at: datetime | None, tier: str) -> Priced:
        short = tokens.written - tokens.written_long
        return Priced(tokens.input + tokens.output + tokens.cached + 10 * short + 20 * tokens.written_long)


def test_every_count_of_a_usage_is_priced() -> None:
    tariff = Tariff(Unit("usd"), Prices(table=Table()))
    usage = Usage(input=100, output=7, cached=30, written=20, reasoning=5, written_long=15)
    assert tariff.cost("any", usage) == 100 + 7 + 30 + 10 * 5 + 20 * 15


def test_tokens_and_requests_need_no_price() -> None:
    usage = Usage(100, 7, cached=30)
    assert Tariff(Unit("tokens")).cost("any", usage) == 107
    assert Tariff(Unit("requests")).cost("any", usage) == 1
