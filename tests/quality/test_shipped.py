"""Every shipped scenario gives the verdict that it expects, and the figures of the paper come out."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import load_scenario
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_checker.display.data import mismatches
from capsound_proofs.solve import Outcome, solve

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = sorted(SCENARIOS.glob("*.toml"))


@cache
def outcome(name: str) -> Outcome:
    """Return what ``solve`` says of a shipped scenario; each is solved once."""
    return solve(load_scenario(SCENARIOS / name, known_disciplines=DISCIPLINES))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_shipped_scenario_is_as_expected(path: Path) -> None:
    solved = outcome(path.name)
    assert solved.scenario.expect.verdict is not None
    assert mismatches(solved) == []


def test_the_races_of_the_paper() -> None:
    a = outcome("race-a-racy-counter.toml")
    trace = a.result(Property.CAP).trace
    assert trace is not None
    assert len({c.process for c in trace.schedule.choices}) <= 3
    assert a.worst is not None
    assert (a.worst.least, a.worst.exact) == (9, True)
    b = outcome("race-b-reserve-settle.toml").result(Property.CAP)
    assert b.verdict is Verdict.SOUND
    assert "every cap, amount, schedule, number of agents" in b.bound
    assert outcome("race-c-split-20.toml").flags == ("useless",)
    assert outcome("race-d-split-33.toml").flags == ("uninformative",)


def test_a_thousand_agents_overshoot_by_all_that_they_bill() -> None:
    found = outcome("race-a-1000-agents.toml")
    assert found.worst is not None
    assert (found.worst.least, found.worst.most) == (1000 * 23 - 60, 1000 * 23 - 60)


def test_the_nested_tool_schema_needs_a_factor_of_15_eighths() -> None:
    (answer,) = outcome("nested-tool-schema-1.0.toml").estimators
    assert answer.margin == Fraction(15, 8)
    assert answer.breaking is not None
    assert answer.breaking.bytes == 320


def test_no_factor_is_safe_for_small_payloads_with_tools() -> None:
    (answer,) = outcome("small-payload-tools.toml").estimators
    assert answer.margin is None
    assert answer.overhead == 457
    assert "0 bytes" in answer.margin_why


def test_without_a1_the_overspend_is_the_shortfall_times_the_cap() -> None:
    found = outcome("overrun-charged.toml")
    assert found.worst is not None
    assert (found.worst.least, found.worst.most) == (50, 50)
    assert found.result(Property.OVERRUN).verdict is Verdict.SOUND
    assert any("1/2 x cap" in sentence for sentence in found.sentences)
    assert any("3/2 x (cap - available - held - forfeited)" in sentence for sentence in found.sentences)
    dropped = outcome("overrun-dropped.toml")
    assert dropped.result(Property.OVERRUN).verdict is Verdict.VIOLATED
    assert "dropped-overrun" in dropped.anomalies
