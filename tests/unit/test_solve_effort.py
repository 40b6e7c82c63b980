"""What ``solve`` does not do twice: the same proof, the same counterexample, and searches that a bound already answers."""

from __future__ import annotations

import pytest

from capsound.machine import TOLD_APART, compile_scenario
from capsound.properties import Property
from capsound.scenario import ROOT, Agents, Assume, CallKind, Interval, Plain, Scenario, Slice
from capsound_proofs import bmc, numeric, search, smallest
from capsound_proofs.accounts import accounts_of
from capsound_proofs.problem import Problem
from capsound_proofs.solve import solve

OVERRUN = CallKind("c", Plain(Interval.exactly(31), Interval(0, 46)))
WITHIN = CallKind("c", Plain(Interval(0, 31), Interval(0, 23)))
BOTH = (Property.CAP, Property.SLICE)


def chain(depth: int, call: CallKind, discipline: str, *, a1: bool = False, calls: int = 2) -> Scenario:
    """Return slices of one grant, each in the one before, and three agents on the last."""
    slices = tuple(Slice(f"s{n}", f"s{n - 1}" if n else ROOT, Interval.exactly(60)) for n in range(depth))
    agents = (Agents("w", 3, f"s{depth - 1}", "c", calls=calls),)
    assume = Assume(a1=a1)
    return Scenario(
        "chain", Interval.exactly(60), discipline, agents, (call,), slices=slices, assume=assume, properties=BOTH
    )


def proved(depth: int, *, excesses: bool) -> int:
    scenario = chain(depth, OVERRUN, "reserve-settle")
    problem = Problem(scenario, compile_scenario(scenario, limit=TOLD_APART), list(BOTH), lambda _: None)
    accounts = accounts_of(problem, excesses=excesses)
    assert accounts is not None
    return len(accounts)


@pytest.mark.parametrize("excesses", [False, True])
def test_a_longer_chain_of_slices_is_no_more_to_prove(excesses: bool) -> None:
    assert proved(9, excesses=excesses) == proved(4, excesses=excesses) < 5


def test_one_run_that_is_the_smallest_for_two_properties_is_made_small_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def counted(*args: object) -> object:
        made.append(args)
        return smallest.smallest(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(bmc, "smallest", counted)
    outcome = solve(chain(1, WITHIN, "racy-counter", a1=True, calls=1))
    cap, slice_ = (outcome.result(prop).trace for prop in BOTH)
    assert cap is not None
    assert slice_ is not None
    assert cap.schedule == slice_.schedule
    assert len(made) == 1
    # Three calls under a cap of 60 have to be billed 61, and each is estimated at what it is billed.
    assert sum(sum(choice.draws) for choice in cap.schedule.choices) == 2 * 61


def test_a_run_of_another_property_is_not_taken_where_more_runs_break_this_one() -> None:
    """The slice of 59 is broken by bills of 60, the cap of 60 only by bills of 61."""
    slices = (Slice("s0", ROOT, Interval.exactly(60)), Slice("s1", "s0", Interval.exactly(59)))
    agents = (Agents("w", 3, "s1", "c"),)
    scenario = Scenario(
        "nested", Interval.exactly(60), "racy-counter", agents, (WITHIN,), slices=slices, properties=BOTH
    )
    outcome = solve(scenario)
    spent = []
    for prop in BOTH:
        trace = outcome.result(prop).trace
        assert trace is not None
        spent.append(sum(sum(choice.draws) for choice in trace.schedule.choices))
    assert spent == [2 * 61, 2 * 60]


def kinds(count: int) -> Scenario:
    names = [f"c{n}" for n in range(count)]
    calls = tuple(CallKind(name, Plain(Interval.exactly(31 + n), Interval(0, 46 + n))) for n, name in enumerate(names))
    agents = tuple(Agents(f"w{n}", 3, ROOT, name, calls=2) for n, name in enumerate(names))
    return Scenario("kinds", Interval.exactly(100), "reserve-settle", agents, calls, assume=Assume(a1=False))


def test_those_who_are_billed_most_break_a_cap_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls of up to 53 break a cap of 100 in four steps, and no run is shorter: nothing is searched."""

    def searched(*_: object, **__: object) -> None:
        raise AssertionError("a search was begun")

    monkeypatch.setattr(search, "shortest", searched)
    result = solve(kinds(8)).result(Property.CAP)
    assert result.bound == "no schedule of fewer than 4 steps breaks it"


def test_no_proof_is_looked_for_of_what_a_played_run_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = chain(6, OVERRUN, "reserve-settle")
    before = solve(scenario)

    def proving(*_: object, **__: object) -> None:
        raise AssertionError("all accounts are told apart")

    monkeypatch.setattr(numeric, "numbers_invariant", proving)
    assert [r.bound for r in solve(scenario).results] == [r.bound for r in before.results]


def test_what_holds_of_every_state_is_proved_after_all_where_a_search_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Problem] = []

    def noted(problem: Problem) -> object:
        asked.append(problem)
        return numeric.numbers_of(problem)

    monkeypatch.setattr(search, "numbers_of", noted)
    monkeypatch.setattr(search, "SHORTER", 1_000)
    outcome = solve(chain(6, OVERRUN, "reserve-settle"))
    assert asked
    assert [result.verdict.value for result in outcome.results] == ["violated", "violated"]
