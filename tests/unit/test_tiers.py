"""Prices in tiers and of cached input: what is billed, what is estimated, and what of that is safe."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import z3

from capsound.costs import CallCosts, costs_of
from capsound.disciplines import DISCIPLINES
from capsound.loading import BadScenario, parse_scenario
from capsound.scenario import Estimator, Interval, Prices, Scenario, Tier
from capsound.schedule import INTS
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.estimator import judge_estimator
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.terms import TERMS

HEAD = "cap = 450\ndiscipline = 'reserve-settle'\n[[agents]]\ncount = 2\n"
TIERS = "input = [{ up_to = 10, price = 1 }, { up_to = 20, price = 2 }, { price = 3 }]"


def read(call: str, prices: str, estimator: str = "") -> Scenario:
    text = f"{HEAD}[[calls]]\n{call}\n[prices]\n{prices}\n[estimator]\n{estimator}\n"
    return parse_scenario(text, path="s.toml", known_disciplines=DISCIPLINES)


def estimate(costs: CallCosts, size: int) -> int:
    call = CallVars(size=size)
    return int(costs.estimate(Frame(INTS, Ledger(), call, costs, lambda *_: 0, lambda *_: None)))


def test_all_of_the_input_costs_the_price_of_its_tier() -> None:
    scenario = read("bytes = 'any'", f"{TIERS}\noutput = 0")
    assert scenario.prices == Prices(1, 0, 1, None, (Tier(10, 2), Tier(20, 3)))
    costs = costs_of(scenario, "call")
    assert [estimate(costs, size) for size in (0, 10, 11, 20, 21)] == [0, 10, 22, 40, 63]
    first = replace(costs, estimator=Estimator(tier="first"))
    assert [estimate(first, size) for size in (10, 11, 21)] == [10, 11, 21]
    grown = [estimate(costs, size) for size in range(40)]
    assert all(less <= more for less, more in pairwise(grown))


def test_terms_and_integers_price_alike() -> None:
    costs = costs_of(read("bytes = 'any'\ncached = 4", f"{TIERS}\ncached = 0\nper = 7", "cached = 3"), "call")
    size = z3.Int("size")
    term = costs.estimate(Frame(TERMS, Ledger(), CallVars(size=size), costs, lambda *_: 0, lambda *_: None))
    for number in (0, 2, 10, 11, 20, 21, 100):
        there = z3.simplify(z3.substitute(term, (size, z3.IntVal(number))))
        assert there.as_long() == estimate(costs, number)


def test_what_is_read_from_a_cache_is_billed_at_its_price() -> None:
    scenario = read("bytes = 10\ncached = { max = 4 }", "input = 5\ncached = 1\noutput = 0")
    costs = costs_of(scenario, "call")
    # Nothing read from the cache is the largest bill; of the smallest, no input is counted at all.
    assert cost_ranges(costs) == (Interval.exactly(50), Interval(0, 50))
    exactly = replace(costs, cost=replace(scenario.call("call").cost, input_tokens=Interval.exactly(10)))
    assert cost_ranges(exactly)[1] == Interval(4 * 1 + 6 * 5, 50)
    dear = replace(exactly, prices=replace(costs.prices, cached=6))
    assert cost_ranges(dear)[1] == Interval(50, 4 * 6 + 6 * 5)


@pytest.mark.parametrize(
    ("call", "prices", "estimator", "earned", "margin"),
    [
        ("bytes = { max = 30 }", TIERS, "", True, 1),
        ("bytes = { max = 30 }", TIERS, "tier = 'first'", False, 3),
        ("bytes = 30\ncached = { max = 30 }", "input = 5\ncached = 1", "", True, 1),
        ("bytes = 30\ncached = { max = 30 }", "input = 5\ncached = 1", "cached = 20", False, None),
    ],
    ids=["by size", "first tier", "nothing cached", "a cache that is hoped for"],
)
def test_whether_the_estimator_earns_a1(
    call: str, prices: str, estimator: str, earned: bool, margin: int | None
) -> None:
    answer = judge_estimator(read(call, f"{prices}\noutput = 0", estimator), "call")
    assert answer.earned is earned
    if margin is not None:
        assert answer.margin == margin
    if not earned:
        assert answer.breaking is not None
        assert answer.breaking.bill > answer.breaking.estimate


def test_how_many_tokens_are_needed_is_told_in_the_right_tier() -> None:
    answer = judge_estimator(read("bytes = 30\ncached = { max = 30 }", "input = 5\ncached = 1", "cached = 20"), "call")
    assert answer.breaking is not None
    # 30 x 5 are billed; estimated were 20 x 1 + 10 x 5, and 20 x 1 + 26 x 5 would be enough.
    assert (answer.breaking.bill, answer.breaking.estimate, answer.breaking.needed_tokens) == (150, 70, 46)


@pytest.mark.parametrize(
    ("prices", "estimator", "says"),
    [
        ("input = [{ price = 1 }, { price = 2 }]", "", "that is not the last has no end"),
        ("input = [{ up_to = 5, price = 1 }]", "", "the last tier of input has an end"),
        ("input = [{ up_to = 5, price = 2 }, { price = 1 }]", "", "the price of input falls"),
        ("input = [{ up_to = 5, price = 1 }, { up_to = 5, price = 1 }, { price = 1 }]", "", "do not rise"),
        ("input = [{ up_to = 5, price = 1 }, { price = 3 }]\ncached = 2", "", "more than in one tier"),
        ("input = 1", "cached = 5", "no price for them"),
        ("input = 1", "tier = 'first'", "tier has no meaning"),
        ("input = []", "", "is empty"),
    ],
)
def test_prices_that_make_no_sense_are_refused(prices: str, estimator: str, says: str) -> None:
    with pytest.raises(BadScenario) as caught:
        read("bytes = 5", prices, estimator)
    assert says in caught.value.problems[0].message
    assert caught.value.problems[0].hint
