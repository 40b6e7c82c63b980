"""A scenario that is not decided is looked at in a smaller copy: what breaks there breaks, what holds there is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import parse_scenario
from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.verdict import Verdict
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.search import believe
from capsound_proofs.smaller import look_at_smaller, smaller, transferred
from capsound_proofs.solve import solve


def scenario(discipline: str, count: int = 8, calls: int = 20, extra: str = "") -> Scenario:
    text = f"""
cap = 60
discipline = "{discipline}"
{extra}
[[agents]]
name = "worker"
count = {count}
calls = {calls}
[[calls]]
estimate = 31
bill = 23
"""
    return parse_scenario(text, known_disciplines=DISCIPLINES)


def undecided(given: Scenario, prop: Property = Property.CAP) -> Problem:
    problem = Problem(given, compile_scenario(given), [prop], lambda _: None)
    problem.results[prop] = PropertyResult(prop, Verdict.UNKNOWN, "searched to 2 steps", "bounded search", 0.0)
    return problem


def test_a_counterexample_of_the_copy_is_one_of_the_whole() -> None:
    problem = undecided(scenario("racy-counter"))
    look_at_smaller(problem, solve)
    result = problem.results[Property.CAP]
    assert result.verdict is Verdict.VIOLATED
    assert result.bound == "a run of 6 steps breaks it: not always a shortest one"
    assert result.trace is not None
    believe(problem.machine, result.trace.schedule, Property.CAP)


def test_what_holds_in_the_copy_is_said_of_the_copy() -> None:
    problem = undecided(scenario("reserve-settle"))
    look_at_smaller(problem, solve)
    result = problem.results[Property.CAP]
    assert result.verdict is Verdict.UNKNOWN
    assert result.bound == "searched to 2 steps; holds for 3 agents and 6 calls, not decided for 8 agents and 160 calls"


def test_what_does_not_break_the_whole_is_not_transferred() -> None:
    copy = solve(scenario("racy-counter", 3, 2))
    trace = copy.result(Property.CAP).trace
    assert trace is not None
    cured = compile_scenario(scenario("reserve-settle"))
    assert transferred(trace.schedule, copy.machine, cured, Property.CAP) is None
    roomy = compile_scenario(replace(scenario("racy-counter"), cap=replace(copy.scenario.cap, lo=500, hi=500)))
    assert transferred(replace(trace.schedule, cap=500), copy.machine, roomy, Property.CAP) is None


@pytest.mark.parametrize(("count", "calls", "copied"), [(3, 2, False), (1, 1, False), (4, 1, True), (2, 3, True)])
def test_a_copy_is_smaller(count: int, calls: int, copied: bool) -> None:
    assert (smaller(scenario("racy-counter", count, calls)) is not None) is copied
