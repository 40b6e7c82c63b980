"""The published figures, from the published rows: skipped where those are not at hand.

``CAPSOUND_DATA`` names the folder of the tables; without it, ``shared/data`` beside the repository is tried.
"""

from __future__ import annotations

import csv
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from capsound.strategies import quantile
from capsound.workload import Workload
from capsound_checker.costs import paper
from capsound_checker.costs.figures import MEDIAN, P95
from capsound_checker.costs.paper import ADVERSARIAL, CONDITIONS, figures_of
from capsound_checker.costs.ratio import run_lab
from capsound_checker.costs.workloads import Condition, Reading, read_workload

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("CAPSOUND_DATA") or REPOSITORY.parent / "shared" / "data")

with_rows = pytest.mark.skipif(
    not (DATA / "a1_observations.csv").exists(), reason="the published tables are not here: set CAPSOUND_DATA"
)


def two(value: Fraction | None) -> str:
    return f"{float(value or 0):.2f}"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return paper.observations(DATA)


def rows_of(rows: list[dict[str, str]], margin: str) -> list[dict[str, str]]:
    return [row for row in rows if row["source_file"] == ADVERSARIAL and row["margin"] == margin]


# ------------------------------------------------------------------------------------------------- ratios


@with_rows
@pytest.mark.parametrize(("margin", "strategy", "median"), [("2.0", "bytes:2", "3.92"), ("1.1", "running-max", "2.11")])
def test_the_published_medians_come_from_the_rows_and_from_the_replay(
    rows: list[dict[str, str]], margin: str, strategy: str, median: str
) -> None:
    assert two(quantile(paper.ratios(rows_of(rows, margin)), MEDIAN)) == median
    assert two(figures_of(paper.adversarial(DATA, margin), strategy).median.value) == median


@with_rows
def test_the_published_adaptive_estimator_was_a_constant_factor(rows: list[dict[str, str]]) -> None:
    calls = paper.adversarial(DATA, "1.1")
    adaptive, constant = (figures_of(calls, name) for name in ("running-max", "bytes:1.1"))
    assert (adaptive.median, adaptive.aggregate) == (constant.median, constant.aggregate)
    assert two(paper.aggregate(rows_of(rows, "1.1"))) == "2.19"


@with_rows
def test_the_two_published_medians_are_of_the_same_prompts_and_of_other_bills() -> None:
    static, adaptive = (list(paper.adversarial(DATA, margin).calls) for margin in ("2.0", "1.1"))
    assert [c.seen.bytes for c in static] == [c.seen.bytes for c in adaptive]
    assert [c.input_tokens for c in static] == [c.input_tokens for c in adaptive]
    assert [c.output_tokens for c in static] != [c.output_tokens for c in adaptive]
    assert two(figures_of(paper.adversarial(DATA, "2.0"), "running-max").median.value) == "2.35"


@with_rows
def test_exact_counts_at_256_still_hold_three_times_the_bill() -> None:
    short = paper.short_questions(DATA)
    assert {c.seen.max_output for c in short.calls} == {256}
    assert two(paper.exactly_counted(short).median.value) == "3.13"
    assert two(figures_of(short, "bytes:1").aggregate.value) == "2.99"


@with_rows
def test_the_table_of_distributions_is_what_the_rows_say(rows: list[dict[str, str]]) -> None:
    with (DATA / "over_reservation.csv").open(newline="") as file:
        told = {row["strategy"]: row for row in csv.DictReader(file) if "all" in row["workload"]}
    for strategy, margin in (("static", "2.0"), ("adaptive", "1.1")):
        ratios = paper.ratios(rows_of(rows, margin))
        assert f"{float(quantile(ratios, MEDIAN)):.4f}" == told[strategy]["ratio_p50"]
        assert float(quantile(ratios, P95)) == pytest.approx(float(told[strategy]["ratio_p95"]), abs=0.05)


def shorts() -> Workload:
    return paper.short_questions(DATA)


def traces() -> Workload:
    reading = Reading((Condition("provider", "anthropic"),), max_output=256, price_in="1", price_out="5")
    return read_workload(DATA / "session_traces.csv", reading)


@with_rows
@pytest.mark.parametrize(
    ("load", "sound"),
    [
        (lambda: paper.adversarial(DATA, "1.1"), ("overhead", "history", "stream")),
        (lambda: paper.adversarial(DATA, "2.0"), ("overhead", "history", "stream")),
        (shorts, ("stream", "tokenizer")),
        (traces, ("history", "stream")),
    ],
    ids=["adaptive-run", "static-run", "short-questions", "sessions"],
)
def test_proved_strategies_cost_less_than_the_published_adaptive_one(load: Any, sound: tuple[str, ...]) -> None:
    workload = load()
    adaptive = figures_of(workload, "running-max")
    for name in sound:
        figures = figures_of(workload, name)
        assert figures.overran == 0, name
        for which in ("median", "aggregate"):
            assert getattr(figures, which).value < getattr(adaptive, which).value, name


@with_rows
def test_the_lab_reads_the_rows_as_they_are() -> None:
    where = (Condition("source_file", ADVERSARIAL), Condition("margin", "2.0"))
    lab = run_lab(str(DATA / "a1_observations.csv"), ["bytes:2", "overhead"], reading=Reading(where), resamples=50)
    static, sound = lab.figures
    assert two(static.median.value) == "3.92"
    assert static.median.low is not None
    assert static.median.high is not None
    assert 3 < static.median.low < static.median.high < 5
    assert lab.proved == (False, True)
    assert lab.broken == {}
    assert sound.overran == 0


@with_rows
def test_the_traces_are_25_sessions_whose_costs_are_the_published_ones() -> None:
    for provider, prices in (("anthropic", ("1", "5")), ("openai", ("0.15", "0.6"))):
        reading = Reading((Condition("provider", provider),), max_output=1_024, price_in=prices[0], price_out=prices[1])
        workload = read_workload(DATA / "session_traces.csv", reading)
        with (DATA / "session_traces.csv").open(newline="") as file:
            costs = [row["cost_micro_usd"] for row in csv.DictReader(file) if row["provider"] == provider]
        assert len(workload.sessions) == {"anthropic": 10, "openai": 15}[provider]
        assert sorted(c.bill for c in workload.calls) == sorted(-(-Fraction(cost) // 1) for cost in costs)


# ------------------------------------------------------------------------------------------------ violations


@with_rows
def test_the_violations_of_a1_are_those_that_were_published(rows: list[dict[str, str]]) -> None:
    found = paper.a1_violations(rows)
    assert {kind: len(inside) for kind, inside in found.items()} == {
        "context growth": 10,
        "hidden reasoning": 5,
        "tool schemas": 22,
    }
    marked = {row["obs_id"] for row in rows if "0" in (row["a1_input_holds"], row["a1_cost_holds"])}
    assert {row["obs_id"] for inside in found.values() for row in inside} == marked
    assert sum(row["prompt_class"] == paper.GROWTH for row in rows) == 10
    assert sum(row["source_file"] == paper.REASONING for row in rows) == 20
    assert {(row["payload_bytes_or_chars"], row["billed_input_tokens"]) for row in found["tool schemas"]} == {
        ("612", "640"),
        ("484", "623"),
        ("320", "600"),
        ("11726", "14539"),
    }


@with_rows
def test_three_of_the_four_tool_schemas_are_within_the_default_bounds_and_the_non_ascii_one_is_not(
    rows: list[dict[str, str]],
) -> None:
    found = paper.a1_violations(rows)["tool schemas"]
    within = {
        row["prompt_class"].split()[0]: int(row["billed_input_tokens"])
        <= int(row["payload_bytes_or_chars"]) + 16 + 8 + 512
        for row in found
    }
    assert within == {
        "sql_retry": True,
        "arg_hallucination": True,
        "nested_tool_schema": True,
        "unicode_dense_tool_desc": False,
    }


# ----------------------------------------------------------------------------------------------- the page


@with_rows
def test_the_page_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert paper.main([str(DATA)]) == 0
    assert capsys.readouterr().out == (REPOSITORY / "docs" / "paper.md").read_text()


def test_a_folder_without_the_tables_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert paper.main([str(tmp_path)]) == 65
    assert "cure: name the folder with the published tables" in capsys.readouterr().err
    assert paper.main([]) == 64


# -------------------------------------------------------------------------------------------- without rows


def test_every_claim_about_the_model_is_on_the_page() -> None:
    page = (REPOSITORY / "docs" / "paper.md").read_text()
    for claim in paper.claims_of_the_model():
        assert f"| {claim.topic} | {claim.published} | {claim.ours} | {claim.why} |" in page


def test_of_the_five_conditions_two_could_never_have_failed() -> None:
    assert {c.name for c in CONDITIONS if paper.could_fail(c)} == {"A", "B", "C"}
    assert {c.name for c in CONDITIONS if not paper.is_sound(c)} == {"A"}
