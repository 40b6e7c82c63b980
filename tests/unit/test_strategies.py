"""Strategies: what they reserve, what they learn, and which of them the solvers prove."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from pathlib import Path

import pytest
import z3
from hypothesis import given
from hypothesis import strategies as st

from capsound.catalog import KINDS, PROVIDER, NoSuchStrategy, bound_of, get_strategy
from capsound.costs import BillBounds, CallCosts
from capsound.errors import Disagreement
from capsound.scenario import Assume, Interval, Prices, Provider, Request
from capsound.steps import CallVars, Frame, IntAlgebra, Ledger
from capsound.strategies import (
    NOTHING,
    ByBytes,
    Conformal,
    Fit,
    NoCount,
    Strategy,
    Stream,
    Whole,
    conformal_share,
    estimated_tokens,
    extension,
    learn,
    plan,
    quantile,
)
from capsound.verdict import Verdict
from capsound.workload import Call, Seen, broken_premises, input_bound, overhead_bound, price, seen_of
from capsound_proofs import second
from capsound_proofs import strategies as proofs
from capsound_proofs.strategies import NO_HISTORY, cheaper_from, judge_strategy

FAR = 10**12
PROVED = ["history", "tokenizer", "fallback", "fit", "stream", "early-settle", "tokenizer-stream"]
REFUTED = ["bytes", "running-max", "quantile", "conformal"]

prices = st.builds(Prices, st.integers(0, 50), st.integers(0, 90), st.sampled_from([1, 7, 1000]))
requests = st.builds(
    Seen,
    bytes=st.integers(0, 5_000),
    messages=st.integers(1, 5),
    tools=st.integers(0, 4),
    history=st.integers(0, 9_000),
    max_output=st.integers(0, 3_000),
    prices=prices,
    counted=st.integers(0, 6_000),
)


@st.composite
def billed(draw: st.DrawFn) -> Call:
    """A call within every premise: the bound on input, the one on the counter, and A6."""
    seen = draw(requests)
    most = min(input_bound(seen, PROVIDER), seen.counted + overhead_bound(seen, PROVIDER))  # type: ignore[operator]
    call = Call(seen, draw(st.integers(0, most)), draw(st.integers(0, seen.max_output)))
    assert broken_premises(call, PROVIDER) == ()
    return call


# ------------------------------------------------------------------------------------------- what is reserved


@given(requests)
def test_what_is_reserved_is_what_the_model_estimates(seen: Seen) -> None:
    request = Request(Interval.exactly(seen.bytes), seen.messages, seen.tools, seen.max_output, growth=seen.history)
    costs = CallCosts(request, BillBounds.of(Assume()), bound_of(PROVIDER), PROVIDER, prices=seen.prices, earlier=1)
    frame = Frame(IntAlgebra(), Ledger(), CallVars(size=seen.bytes), costs, lambda *_: 0, lambda *_: None)
    assert plan(get_strategy("history"), seen, NOTHING, FAR).amount == costs.estimate(frame)
    assert estimated_tokens(get_strategy("history").input, seen) == input_bound(seen, PROVIDER)


@pytest.mark.parametrize("name", [n for n in PROVED if "stream" not in n])
@given(calls=st.lists(billed(), min_size=1, max_size=4))
def test_what_is_proved_never_reserves_less_than_is_billed_whatever_it_has_learned(
    name: str, calls: list[Call]
) -> None:
    strategy = get_strategy(name)
    *earlier, call = calls
    memory = reduce(lambda known, one: learn(strategy, known, one), earlier, NOTHING)
    assert plan(strategy, call.seen, memory, FAR).amount >= call.bill


@given(billed(), st.integers(1, 400), st.data())
def test_a_stream_holds_enough_for_a_chunk_that_arrives_and_one_more(
    call: Call, chunk: int, data: st.DataObject
) -> None:
    seen = call.seen
    made = plan(get_strategy(f"stream:{chunk}"), seen, NOTHING, FAR)
    received = data.draw(st.integers(0, seen.max_output))
    worst = min(seen.max_output, received + 2 * chunk)
    assert extension(made, seen, received) >= price(seen.prices, call.input_tokens, worst)
    assert made.amount == extension(made, seen, 0)


@pytest.mark.parametrize("name", ["running-max", "quantile", "fallback"])
@given(seen=requests, calls=st.lists(billed(), max_size=6))
def test_learning_never_lowers_what_is_expected_below_what_was_expected_first(
    name: str, seen: Seen, calls: list[Call]
) -> None:
    strategy = get_strategy(name)
    memory = reduce(lambda known, one: learn(strategy, known, one), calls, NOTHING)
    assert estimated_tokens(strategy.input, seen, memory) >= estimated_tokens(strategy.input, seen)


def test_the_published_adaptive_estimator_follows_the_largest_ratio_that_it_saw() -> None:
    adaptive = get_strategy("running-max")
    seen = Seen(bytes=1_000)
    assert estimated_tokens(adaptive.input, seen) == 1_100
    cheap = learn(adaptive, NOTHING, Call(seen, 400, 0))
    assert estimated_tokens(adaptive.input, seen, cheap) == 1_100
    dear = learn(adaptive, cheap, Call(seen, 1_300, 0))
    assert estimated_tokens(adaptive.input, seen, dear) == 1_400
    assert learn(adaptive, dear, Call(Seen(bytes=0), 25, 0)) == dear


def test_a_rolling_quantile_forgets_what_is_older_than_its_window() -> None:
    strategy = get_strategy("quantile:0.5")
    calls = [Call(Seen(bytes=100), 200, 0)] * 60 + [Call(Seen(bytes=100), 70, 0)] * 50
    memory = reduce(lambda known, one: learn(strategy, known, one), calls, NOTHING)
    assert estimated_tokens(strategy.input, Seen(bytes=100), memory) == 70


# -------------------------------------------------------------------------------------------- conformal rule


def shares(rule: Conformal, scores: tuple[int, ...]) -> Fraction:
    return conformal_share(rule, replace(NOTHING, scores=tuple(sorted(Fraction(s, 100) for s in scores))))


def test_a_conformal_rule_reserves_the_bound_until_it_knows_enough_bills() -> None:
    rule = Conformal(Fraction(5, 100), bound_of(PROVIDER))
    assert shares(rule, tuple(range(1, 19))) == 1
    assert shares(rule, tuple(range(1, 20))) == Fraction(19, 100)
    assert shares(rule, tuple(range(1, 40))) == Fraction(38, 100)


def test_a_conformal_rule_learns_from_the_first_bills_alone() -> None:
    strategy = Strategy("few", Conformal(Fraction(1, 2), bound_of(PROVIDER), calls=3))
    memory = NOTHING
    for output in (9, 1, 5, 8, 8):
        memory = learn(strategy, memory, Call(Seen(0, max_output=10, prices=Prices(0, 1)), 0, output))
    assert memory.scores == (Fraction(1, 10), Fraction(5, 10), Fraction(9, 10))


@pytest.mark.parametrize(("calls", "risk"), [(4, Fraction(1, 4)), (5, Fraction(2, 5)), (6, Fraction(1, 6))])
def test_over_all_orders_of_the_calls_a_conformal_rule_is_short_as_often_as_it_says(calls: int, risk: Fraction) -> None:
    rule = Conformal(risk, bound_of(PROVIDER))
    orders = list(itertools.permutations(range(1, calls + 1)))
    short = sum(Fraction(last, 100) > shares(rule, tuple(first)) for *first, last in orders)
    assert Fraction(short, len(orders)) == risk


# ------------------------------------------------------------------------------------------------ max_output


@given(seen=requests, free=st.integers(0, 300_000), least=st.integers(1, 64))
def test_fit_asks_for_all_that_fits_and_not_for_a_token_more(seen: Seen, free: int, least: int) -> None:
    strategy = get_strategy(f"fit:{least}")
    tokens = estimated_tokens(strategy.input, seen)
    made = plan(strategy, seen, NOTHING, free)
    assert made.amount == price(seen.prices, tokens, made.max_output)
    assert min(least, seen.max_output) <= made.max_output <= seen.max_output
    if made.max_output > least and seen.prices.output:
        assert made.amount <= free
    if made.max_output < seen.max_output:
        assert price(seen.prices, tokens, made.max_output + 1) > free


# ------------------------------------------------------------------------------------------------ the catalog


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("byte", "bytes"),
        ("bytes:-1", "bytes:2"),
        ("bytes:1e9999999", "bytes:2"),
        ("stream:0", "stream:16"),
        ("stream:1.5", "stream:16"),
        ("conformal:1", "conformal:0.05"),
        ("history:2", "history"),
        ("bytes:", "bytes:2"),
    ],
)
def test_a_strategy_that_cannot_be_is_refused_with_its_cure(text: str, cure: str) -> None:
    with pytest.raises(NoSuchStrategy) as caught:
        get_strategy(text)
    assert cure in caught.value.hint
    assert caught.value.exit_status == 64


def test_a_token_counter_is_any_function_of_the_text() -> None:
    seen = seen_of("naïve plan", lambda text: len(text.split()), max_output=10, prices=Prices(1, 2))
    assert (seen.bytes, seen.counted) == (11, 2)
    assert plan(get_strategy("tokenizer"), seen, NOTHING, FAR).amount == 2 + 16 + 8 + 20
    assert seen_of("x", max_output=1, prices=Prices()).counted is None


def test_a_counting_strategy_needs_a_count() -> None:
    with pytest.raises(NoCount):
        plan(get_strategy("tokenizer"), Seen(bytes=10), NOTHING, FAR)


@given(st.lists(st.fractions(0, 100), min_size=1, max_size=30))
def test_the_half_quantile_is_the_median(values: list[Fraction]) -> None:
    assert quantile(sorted(values), Fraction(1, 2)) == statistics.median(values)
    assert quantile(sorted(values), Fraction(1)) == max(values)


# ---------------------------------------------------------------------------------------------- the verdicts


def test_every_kind_has_its_verdict() -> None:
    assert {*PROVED, *REFUTED, "overhead"} == set(KINDS)


@pytest.mark.parametrize("name", PROVED)
def test_what_is_sound_is_proved_by_both_solvers_without_a_witness(name: str) -> None:
    told = judge_strategy(get_strategy(name))
    assert (told.verdict, told.solvers, told.witness) == (Verdict.SOUND, "z3 and cvc5", None)
    assert {"A6", "A8", "A10"} <= set(told.premises)
    assert ("A9" in told.premises) is ("stream" in name)


@pytest.mark.parametrize("name", [*REFUTED, "bytes:1", "bytes:100", "conformal:0.3"])
def test_what_is_unsound_has_a_witness_that_breaks_a1_within_every_premise(name: str) -> None:
    strategy = get_strategy(name)
    told = judge_strategy(strategy)
    assert told.verdict is Verdict.VIOLATED
    assert told.witness is not None
    call = told.witness.call
    memory = reduce(lambda known, one: learn(strategy, known, one), told.witness.learned, NOTHING)
    assert plan(strategy, call.seen, memory, FAR).amount == told.witness.reserved < call.bill
    assert not any(broken_premises(one, PROVIDER) for one in (*told.witness.learned, call))
    assert call.seen.history == 0
    assert str(call.bill) in told.sentence


def test_overhead_is_proved_where_there_is_no_history_and_refuted_where_there_is() -> None:
    told = judge_strategy(get_strategy("overhead"))
    assert told.verdict is Verdict.SOUND
    assert told.premises[-1] == NO_HISTORY
    assert told.witness is not None
    assert told.witness.call.seen.history > 0


def test_a_margin_above_one_is_sound_against_a_provider_that_adds_nothing() -> None:
    bare = Provider()
    for name, verdict in (("running-max", Verdict.SOUND), ("bytes:1", Verdict.SOUND), ("bytes:0.99", Verdict.VIOLATED)):
        assert judge_strategy(get_strategy(name, bare), bare).verdict is verdict


@pytest.mark.parametrize(
    "less",
    [
        {"template": PROVIDER.template - 1},
        {"per_message": PROVIDER.per_message - 1},
        {"per_tool": PROVIDER.per_tool - 1},
        {"tokens_per_byte": Fraction(999, 1000)},
    ],
)
def test_one_token_less_than_the_bound_is_refuted(less: dict[str, int]) -> None:
    stingy = Strategy("stingy", ByBytes(bound_of(replace(PROVIDER, **less))), Whole())  # type: ignore[arg-type]
    assert judge_strategy(stingy).verdict is Verdict.VIOLATED


def test_a_stream_that_holds_less_than_two_chunks_ahead_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearer(chunk: int, received: int, most: int, algebra: IntAlgebra) -> int:
        wanted = received + 2 * chunk - 1
        return algebra.ite(wanted >= most, most, wanted)

    monkeypatch.setattr(proofs, "ahead", nearer)
    told = judge_strategy(get_strategy("stream:16"))
    assert told.verdict is Verdict.VIOLATED
    assert "abort" in told.sentence


@pytest.mark.parametrize("name", PROVED)
def test_no_proof_holds_for_want_of_a_request(name: str) -> None:
    strategy = get_strategy(name)
    todo = [*proofs.output_obligations(strategy.output), *proofs.price_obligations()]
    for obligation in (proofs.input_obligation(strategy, PROVIDER), *todo):
        *premises, goal = obligation.terms
        solver = z3.Solver()
        solver.add(*premises)
        assert solver.check() == z3.sat, obligation.name
        assert solver.check(goal) == z3.unsat, obligation.name
        assert second.decide(obligation.text) == "unsat", obligation.name


def test_a_witness_that_is_none_is_our_bug() -> None:
    fine = Call(Seen(10, max_output=5), 3, 5)
    with pytest.raises(Disagreement) as caught:
        proofs.computed_witness(get_strategy("history"), (), fine)
    assert caught.value.exit_status == 70


def test_from_240_bytes_on_the_sound_estimate_is_never_above_the_published_adaptive_one() -> None:
    sound, adaptive = get_strategy("overhead"), get_strategy("running-max")

    def above(size: int) -> bool:
        return estimated_tokens(sound.input, Seen(size)) > estimated_tokens(adaptive.input, Seen(size))

    assert cheaper_from(sound, adaptive) == 240
    assert above(239)
    assert not any(above(size) for size in range(240, 20_000))
    assert cheaper_from(get_strategy("bytes:1.2"), adaptive) is None


def test_fit_and_stream_are_data() -> None:
    assert get_strategy("fit:32").output == Fit(32)
    assert get_strategy("stream:8").output == Stream(8)


# -------------------------------------------------------------------------------------------------- the page


def test_the_page_tells_every_strategy_with_its_verdict() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "ratio.md").read_text()
    rows = [
        line
        for line in page.splitlines()
        if line.endswith(" |") and (" proved under " in line or " refuted by " in line)
    ]
    assert rows == [
        f"| `{kind.name}{'' if kind.default is None else f':{float(kind.default):g}'}` | {kind.says} | "
        f"{judge_strategy(get_strategy(kind.name)).sentence} |"
        for kind in KINDS.values()
    ]
