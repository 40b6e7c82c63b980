"""What calls cost: prices that are given, and those of the installed table, against amounts that are worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound_checker.prices.installed import Installed, NotInstalled, installed
from capsound_checker.prices.pricing import PICO, BadPrice, Prices, Rates, Tokens, all_rates, rates

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SMALL = Prices((rates("small=0.15/0.60/0.075"),))


def test_a_price_is_exact_to_the_pico_dollar() -> None:
    assert rates("a=2.50/10/1.25/3.125") == Rates("a", 2_500_000, 10_000_000, 1_250_000, 3_125_000)
    priced = SMALL.price(Tokens(input=1000, cached=800, output=100), "small")
    assert (priced.pico, priced.micro, priced.why) == (150_000_000, Fraction(150), "")
    assert SMALL.price(Tokens(input=1), "small").micro == Fraction(15, 100)


@given(*[st.integers(0, 10**9)] * 4, st.integers(0, 10**6), st.integers(0, 10**6))
def test_ten_thousand_calls_cost_what_their_sum_costs(a: int, b: int, c: int, d: int, x: int, y: int) -> None:
    book = Prices((Rates("m", x, y, x // 10, x * 5 // 4),))
    one = Tokens(input=a + b + c, cached=b, written=c, output=d)
    many = Tokens(*[10_000 * n for n in (one.input, b, c, d)])
    single, all_of_them = book.price(one, "m").pico, book.price(many, "m").pico
    assert single is not None
    assert all_of_them == 10_000 * single == 10_000 * (a * x + b * (x // 10) + c * (x * 5 // 4) + d * y)


@pytest.mark.parametrize(
    ("tokens", "model", "why"),
    [
        (Tokens(1), "other", "no price is given for other"),
        (Tokens(1), "", "no model is named"),
        (Tokens(10, cached=11), "small", "exceed an input of 10"),
        (Tokens(-1), "small", "negative"),
        (Tokens(10, written=3), "small", "3 written tokens of small: no price is given for them"),
        (Tokens(10, written=3, written_long=4), "small", "only 3 were written"),
    ],
)
def test_what_is_not_known_is_no_zero(tokens: Tokens, model: str, why: str) -> None:
    priced = SMALL.price(tokens, model)
    assert (priced.pico, priced.micro) == (None, None)
    assert why in priced.why


def test_cached_tokens_have_no_price_unless_it_is_given() -> None:
    book = Prices((rates("m=1/2"),))
    assert book.price(Tokens(3, output=1), "m").pico == 5 * 10**6
    assert book.price(Tokens(3, cached=1), "m").pico is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "m", "m=", "=1/2", "m=1", "m=1/2/3/4/5", "m=1/x", "m=-1/2", "m=1/inf", "m=nan/1", "m=1/-0", "m=1e9/1"),
        *("m=0.0000001/1", "m=1/1e-400", "m=" + "9" * 5000 + "/1", "m=\u0663/1", "m=1//2"),
    ],
)
def test_what_is_no_price_is_told_with_the_way_to_write_one(text: str) -> None:
    with pytest.raises(BadPrice) as caught:
        rates(text)
    assert "MODEL=IN/OUT" in caught.value.hint
    assert caught.value.exit_status == 64


def test_a_model_has_one_price() -> None:
    assert [one.model for one in all_rates(["a=1/2", "x=y=1/2"])] == ["a", "x=y"]
    with pytest.raises(BadPrice, match="two prices for 'a'"):
        all_rates(["a=1/2", "a=1/3"])


# --------------------------------------------------------------------------------- the table that is installed


@pytest.fixture(scope="module")
def table() -> Installed:
    pytest.importorskip("genai_prices")
    return installed()


@pytest.mark.parametrize(
    ("model", "tokens", "tier", "dollars"),
    [
        ("gpt-4o", Tokens(1000, output=1000), "", "0.0125"),
        ("gpt-4o", Tokens(1000, cached=800, output=100), "", "0.0025"),
        ("openai/gpt-4o", Tokens(1000, output=1000), "", "0.0125"),
        ("gpt-5.4", Tokens(272_000, output=1000), "", "0.695"),
        ("gpt-5.4", Tokens(300_000, output=1000), "", "1.5225"),
        ("gpt-5", Tokens(10_000, output=1000), "default", "0.0225"),
        ("gpt-5", Tokens(10_000, output=1000), "flex", "0.01125"),
        ("gpt-5", Tokens(10_000, output=1000), "priority", "0.045"),
        ("gpt-5", Tokens(10_000, output=1000), "batch", "0.01125"),
        ("claude-sonnet-4-5", Tokens(11_000, written=10_000, output=100), "", "0.042"),
        ("claude-sonnet-4-5", Tokens(11_000, written=10_000, written_long=10_000, output=100), "", "0.0645"),
        ("gemini-2.5-pro", Tokens(250_000, cached=200_000, output=1000), "", "0.19"),
    ],
)
def test_tiers_and_caches_are_priced(table: Installed, model: str, tokens: Tokens, tier: str, dollars: str) -> None:
    assert Prices(table=table).price(tokens, model, at=NOW, tier=tier).pico == Fraction(dollars) * PICO


@pytest.mark.parametrize(
    ("model", "provider", "tier", "why"),
    [
        ("no-such-model", "", "", "has no price of no-such-model"),
        ("claude-of-tomorrow", "", "", "has no price"),
        ("gpt-4o-2031-01-01", "", "", "has no price"),
        ("gpt-4.1", "github-copilot", "", "has no price of gpt-4.1 for tokens"),
        ("gpt-5", "anthropic", "", "has no price"),
        ("gpt-5", "", "gold", "no price of gpt-5 for gold at that time"),
    ],
)
def test_what_the_table_does_not_know_is_not_known(
    table: Installed, model: str, provider: str, tier: str, why: str
) -> None:
    priced = Prices(table=table).price(Tokens(1000, output=1), model, provider=provider, at=NOW, tier=tier)
    assert priced.pico is None
    assert why in priced.why


def test_a_price_that_has_changed_needs_the_time_of_the_call(table: Installed) -> None:
    tokens = Tokens(1_000_000)
    before, after = (table.price(tokens, "o3", "", datetime(year, 1, 1, tzinfo=UTC), "").pico for year in (2025, 2026))
    assert before == 10 * PICO
    assert after == 2 * PICO
    assert "has changed" in table.price(tokens, "o3", "", None, "").why


def test_a_tier_had_no_price_before_it_was_introduced(table: Installed) -> None:
    tokens = Tokens(10_000, output=1000)
    assert table.price(tokens, "gpt-5", "", datetime(2020, 1, 1, tzinfo=UTC), "batch").pico is None
    assert table.price(tokens, "gpt-5", "", None, "batch").pico is None


def test_prices_that_are_given_come_first_and_the_source_is_told(table: Installed) -> None:
    book = Prices((rates("gpt-4o=1/1/1"),), table)
    assert book.price(Tokens(1000), "gpt-4o").micro == 1000
    assert book.price(Tokens(1000), "gpt-4o-mini").micro == 150
    assert book.sources[0] == "prices given for gpt-4o"
    assert "genai-prices 0." in book.sources[1]


def test_a_package_that_is_missing_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "genai_prices", None)
    with pytest.raises(NotInstalled) as caught:
        installed()
    assert "capsound[prices]" in caught.value.hint
