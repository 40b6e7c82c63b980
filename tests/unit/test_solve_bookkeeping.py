"""The bookkeeping of ``solve``: names are for people, the order of the file changes nothing, no run is lost.

Each case once made it say ``sound`` of a design that overshoots, or fail.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import pytest

from capsound.amounts import AccountId
from capsound.disciplines import Retry, discipline
from capsound.errors import BadDiscipline, Disagreement
from capsound.explorer import Scope, explore
from capsound.machine import compile_scenario
from capsound.monitor import fold
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Interval, Plain, Request, Scenario, Search, Slice
from capsound.schedule import Choice, Schedule, run_schedule
from capsound.steps import CHECK, FORFEIT, RESERVE, SEND, SETTLE
from capsound.verdict import Verdict
from capsound_proofs import solve as solving
from capsound_proofs.bmc import Searched, shortest
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.search import break_by_playing, renumbered
from capsound_proofs.solve import solve
from capsound_proofs.vacuity import Contradiction
from capsound_proofs.worst import attained

RACE = CallKind("c", Plain(Interval.exactly(31), Interval.exactly(23)))


def plain(name: str, count: int | None = 1, **more: object) -> Agents:
    return replace(Agents(name, count, "root", "c"), **more)  # type: ignore[arg-type]


def race(*agents: Agents, cap: int = 60, **more: object) -> Scenario:
    scenario = Scenario("race", Interval.exactly(cap), "racy-counter", agents, (RACE,))
    return replace(scenario, **more)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "agents",
    [
        (plain("w", 2), plain("w-1")),  # the first of "w" is called w-1 too
        (plain("w"), plain("w"), plain("w")),
        (plain("w", 3), plain("w", 2)),
        (plain("slice s", 3), plain("s")),
        (plain("w#1", 2), plain("w", own_slice=Interval.exactly(1)), plain("w#1")),
    ],
    ids=["numbered", "three of one name", "two groups of one name", "a slice's", "a group's"],
)
def test_a_name_given_twice_hides_nobody(agents: tuple[Agents, ...]) -> None:
    found = solve(race(*agents, properties=(Property.CAP,))).result(Property.CAP)
    assert found.verdict is Verdict.VIOLATED
    assert found.trace is not None
    assert len(found.trace.schedule.choices) == 6


def test_processes_are_told_apart_whatever_they_are_called() -> None:
    slices = (Slice("s", "root", Interval.exactly(5)),)
    scenario = race(plain("w", 2), plain("w-1"), plain("w", own_slice=Interval.exactly(1)), slices=slices)
    machine = compile_scenario(scenario)
    identities = [process.identity for process in machine.processes]
    assert len(set(identities)) == len(identities)
    families = [process.family for process in machine.processes]
    assert len(set(families)) == len(families) - 1, "only the two of the first entry stand for each other"


# ------------------------------------------------------------------------------------------- permutations

SIX = CallKind("c", Plain(Interval.exactly(6), Interval.exactly(6)))
MIXED = (
    plain("group", 2),
    plain("sliced", own_slice=Interval.exactly(5)),
    plain("program", program=("call root",)),
)


@pytest.mark.parametrize("order", list(permutations(range(len(MIXED)))), ids=str)
def test_the_order_of_the_entries_changes_nothing(order: tuple[int, ...]) -> None:
    agents = tuple(MIXED[i] for i in order)
    scenario = Scenario("order", Interval.exactly(10), "racy-counter", agents, (SIX,))
    asked = (Property.CAP, Property.SLICE)
    explored = explore(compile_scenario(scenario), asked, Scope(states=50_000))
    assert explored.complete
    outcome = solve(replace(scenario, properties=asked))
    for prop in asked:
        found = outcome.result(prop)
        assert (found.verdict is Verdict.VIOLATED) == (prop in explored.found), prop
        if found.trace is not None:
            assert len(found.trace.schedule.choices) == len(explored.found[prop].choices), prop


def test_few_steps_are_no_excuse() -> None:
    """A search that is too short is unknown, wherever the group stands in the file."""
    for agents in permutations(MIXED[:2]):
        scenario = Scenario("short", Interval.exactly(10), "racy-counter", agents, (SIX,), search=Search(steps=2))
        assert solve(scenario).result(Property.CAP).verdict is Verdict.UNKNOWN


def test_a_schedule_keeps_its_agents_in_a_larger_machine() -> None:
    scenario = race(plain("w", 3), plain("v", 2))
    small, large = compile_scenario(scenario, limit=1), compile_scenario(scenario)
    moved = renumbered(Schedule(60, (Choice(0), Choice(1))), small, large)
    assert [large.processes[c.process].name for c in moved.choices] == ["w-1", "v-1"]


def test_a_bill_above_the_estimate_is_found_beside_a_slice() -> None:
    """Without A1 the lemma of the wrong machine hid the third step."""
    big = CallKind("c", Plain(Interval.exactly(1), Interval.exactly(20)))
    for agents in permutations(MIXED[:2]):
        scenario = Scenario("over", Interval.exactly(10), "racy-counter", agents, (big,), assume=Assume(a1=False))
        found = solve(replace(scenario, properties=(Property.CAP,))).result(Property.CAP)
        assert found.trace is not None
        assert len(found.trace.schedule.choices) == 2


# ------------------------------------------------------------------------------------------ contradictions


def contradictory(estimate: int, bill: int, **assume: object) -> Scenario:
    call = CallKind("c", Plain(Interval.exactly(estimate), Interval.exactly(bill)))
    assumed = replace(Assume(), **assume)  # type: ignore[arg-type]
    agents = (plain("w", 3), plain("sliced", own_slice=Interval.exactly(1)))
    return Scenario(
        "contradiction",
        Interval.exactly(2),
        "racy-counter",
        agents,
        (call,),
        assume=assumed,
        properties=(Property.CAP,),
    )


def test_a_call_that_can_never_be_billed_is_refused() -> None:
    with pytest.raises(Contradiction) as caught:
        solve(contradictory(1, 3, a1=False, shortfall=Fraction(3, 2)))
    assert caught.value.exit_status == 65
    assert "3/2" in caught.value.cause
    with pytest.raises(Contradiction) as caught:
        solve(contradictory(1, 3))
    assert "A1" in caught.value.cause
    assert solve(contradictory(1, 3, a1=False, shortfall=Fraction(3))).verdict is Verdict.VIOLATED
    assert solve(contradictory(1, 3, a1=False)).verdict is Verdict.VIOLATED


def test_a_request_that_a1_forbids_is_refused() -> None:
    size = Interval.exactly(100)
    counted = {"fine": size, "large": Interval(500, 600)}
    calls = tuple(CallKind(name, Request(size, input_tokens=tokens)) for name, tokens in counted.items())
    agents = (Agents("a", 1, "root", "fine"), Agents("b", 1, "root", "large"))
    scenario = Scenario("request", Interval.exactly(700), "racy-counter", agents, calls)
    with pytest.raises(Contradiction, match="'large'"):
        solve(scenario)
    assert solve(replace(scenario, agents=agents[:1])).verdict is Verdict.SOUND
    assert solve(replace(scenario, assume=Assume(a1=None))).verdict is Verdict.SOUND


def test_a_later_call_that_can_never_be_billed_is_refused() -> None:
    """The history of a conversation grows beyond its estimate at the third call."""
    call = CallKind("c", Request(Interval.exactly(100), growth=40, input_tokens=Interval.exactly(20)))
    scenario = Scenario("growth", Interval.exactly(700), "reserve-settle", (plain("w", 1, calls=4),), (call,))
    with pytest.raises(Contradiction, match="call number 4"):
        solve(scenario)
    assert solve(replace(scenario, agents=(plain("w", 1, calls=3),))).verdict is Verdict.SOUND


# ------------------------------------------------------------------------------- verdicts that are earned


def test_a_cap_that_no_machine_integer_holds_is_broken_at_once() -> None:
    scenario = race(plain("w", 2), cap=10**12, assume=Assume(width=8))
    found = solve(scenario).result(Property.WIDTH)
    assert found.trace is not None
    assert found.trace.schedule.choices == ()


def test_a_slice_is_closed_when_all_who_use_it_are_done() -> None:
    """With fewer agents than there are, a search would close it too early, and show a run that is none."""
    call = CallKind("c", Plain(Interval.exactly(1), Interval.exactly(3)))
    scenario = Scenario(
        "close",
        Interval.exactly(6),
        "split-and-return",
        (Agents("w", 3, "s", "c"), Agents("late", 1, "root", "c")),
        (call,),
        slices=(Slice("s", "root", Interval.exactly(5)),),
        assume=Assume(a1=False),
        properties=(Property.CAP,),
    )
    explored = explore(compile_scenario(scenario), (Property.CAP,), Scope(states=100_000))
    assert explored.complete
    found = solve(scenario).result(Property.CAP)
    assert found.trace is not None
    assert len(found.trace.schedule.choices) == len(explored.found[Property.CAP].choices)


def test_every_agent_counts_before_a_search_is_complete() -> None:
    """A few of many agents are soon done, and the others may still move: what was not searched is not sound."""
    scenario = race(plain("w", 20), cap=31, properties=(Property.TRUTH,), search=Search(steps=20))
    machine = compile_scenario(scenario)
    found = shortest(
        lambda agents: compile_scenario(scenario, limit=agents),
        Property.TRUTH,
        max_steps=8,
        agents_at=lambda _: 2,
        everybody=20,
    )
    assert isinstance(found, Searched)
    assert not found.complete
    assert len(found.machine.processes) > 2
    assert len(machine.processes) == 20


def test_all_states_decide_what_a_search_leaves_open() -> None:
    call = CallKind("c", Plain(Interval.exactly(1), Interval.exactly(4)))
    agents = (plain("g0", calls=2, own_slice=Interval.exactly(8)), plain("g1", calls=2))
    asked = (Property.OVERRUN, Property.TRUTH)
    scenario = Scenario("few", Interval.exactly(8), "lost-update-counter", agents, (call,), assume=Assume(a1=False))
    outcome = solve(replace(scenario, properties=asked))
    for prop in asked:
        assert outcome.result(prop).verdict is Verdict.SOUND
        assert outcome.result(prop).bound == "complete: all 96 states of 2 agents and 4 calls"


def test_a_verdict_that_the_states_deny_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = race(plain("w", 3), properties=(Property.CAP,))
    wrong = PropertyResult(Property.CAP, Verdict.SOUND, "wrong", "wrong", 0.0)
    monkeypatch.setattr(solving, "prove_in_general", lambda problem: problem.results.update({Property.CAP: wrong}))
    with pytest.raises(Disagreement, match="not for concrete runs"):
        solve(scenario)


def test_a_verdict_that_a_run_denies_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too large to explore: a few runs at random see it."""
    call = CallKind("c", Plain(Interval.exactly(31_000), Interval(0, 23_000)))
    scenario = Scenario("large", Interval.exactly(60_000), "racy-counter", (plain("w", 9),), (call,))
    wrong = PropertyResult(Property.CAP, Verdict.SOUND, "wrong", "wrong", 0.0)
    monkeypatch.setattr(solving, "prove_in_general", lambda problem: problem.results.update({Property.CAP: wrong}))
    with pytest.raises(Disagreement) as caught:
        solve(replace(scenario, properties=(Property.CAP,)))
    assert "a run of" in caught.value.cause


def test_a_run_that_is_longer_than_the_longest_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = race(plain("w", 3), properties=(Property.TRUTH,))
    wrong = PropertyResult(Property.TRUTH, Verdict.SOUND, "complete", "wrong", 0.0, longest=3)
    monkeypatch.setattr(solving, "prove_in_general", lambda problem: problem.results.update({Property.TRUTH: wrong}))
    with pytest.raises(Disagreement, match="up to 3 steps"):
        solve(scenario)


# ------------------------------------------------------------------------------------------ what follows


def test_where_nothing_overshoots_no_deficit_is_needed() -> None:
    scenario = race(plain("w", 2), cap=100, assume=Assume(a1=False))
    outcome = solve(scenario)
    assert outcome.result(Property.CAP).bound == "all calls together are billed at most 46 of the cap 100, in any order"
    assert outcome.result(Property.OVERRUN).bound.startswith("follows from cap: ")
    assert outcome.flags == ("uninformative",)


def test_a_slice_that_may_be_too_small_is_informative() -> None:
    fits = race(plain("w", own_slice=Interval.exactly(31)), cap=100)
    assert solve(fits).flags == ("uninformative",)
    tight = race(plain("w", calls=2, own_slice=Interval.exactly(45)), cap=100)
    assert solve(tight).flags == ()
    shared = race(Agents("w", 2, "s", "c"), cap=100, slices=(Slice("s", "root", Interval.exactly(45)),))
    assert solve(shared).flags == ()


def test_what_is_reserved_before_it_is_admitted_is_refused() -> None:
    with pytest.raises(BadDiscipline, match="reserves before it admits"):
        discipline("early", "", [[RESERVE], [CHECK], [SEND], [SETTLE]])


def test_a_retry_under_the_same_hold_that_would_admit_again_is_refused() -> None:
    with pytest.raises(BadDiscipline, match="admits in the block that sends"):
        discipline("again", "", [[CHECK, RESERVE, SEND], [SETTLE]], after_send=[FORFEIT], retry=Retry.SAME_HOLD)


def test_a1_is_earned_by_amounts_that_leave_no_larger_bill() -> None:
    """Three times the largest bill is held, so that two hidden retries fit: proved, not searched for."""
    call = CallKind("c", Plain(Interval.exactly(1_500_000), Interval(0, 500_000)))
    assume = Assume(a1=False, a10=False, hidden_retries=2)
    agents = (plain("w", 8, calls=20, own_slice=Interval.exactly(6_000_000)),)
    scenario = Scenario("retries", Interval.exactly(50_000_000), "reserve-settle", agents, (call,), assume=assume)
    outcome = solve(scenario)
    assert outcome.verdict is Verdict.SOUND
    assert "A1 follows from the amounts: no call can be billed above its estimate." in outcome.sentences
    outcome = solve(replace(scenario, assume=replace(assume, hidden_retries=3), agents=(plain("w", 8),)))
    assert not any("A1 follows" in sentence for sentence in outcome.sentences)


@pytest.mark.parametrize(("calls", "discipline"), [(1, "racy-counter"), (20, "racy-counter")])
def test_the_largest_overshoot_is_attained_at_the_brink(calls: int, discipline: str) -> None:
    """Eight agents see the same last 500,000 and spend it together: 3,500,000 too much, whatever came before."""
    top = Interval(0, 500_000) if calls == 1 else Interval.exactly(500_000)
    call = CallKind("c", Plain(top, Interval(0, 500_000)))
    cap = 500_000 if calls == 1 else 50_000_000
    machine = compile_scenario(
        Scenario("last", Interval.exactly(cap), discipline, (plain("w", 8, calls=calls),), (call,))
    )
    over, run = attained(machine, cap, None)
    assert over == 3_500_000
    assert run is not None
    assert fold(run_schedule(machine, run).events).overshoot[AccountId("root")] == over


def test_a_race_at_the_edge_of_a_large_cap_is_played() -> None:
    """A hundred calls before it matters: no search comes so far, and the run is believed by the monitor."""
    call = CallKind("c", Plain(Interval.exactly(5), Interval.exactly(5)))
    scenario = race(plain("w", 3, calls=8), cap=100, calls=(call,), properties=(Property.CAP,))
    problem = Problem(scenario, compile_scenario(scenario), [Property.CAP], lambda _: None)
    problem.results[Property.CAP] = PropertyResult(Property.CAP, Verdict.UNKNOWN, "", "", 0.0)
    break_by_playing(problem)
    assert problem.results[Property.CAP].verdict is Verdict.UNKNOWN, "the search did not give up"
    problem.gave_up.add(Property.CAP)
    break_by_playing(problem)
    result = problem.results[Property.CAP]
    assert result.verdict is Verdict.VIOLATED
    assert result.report is not None
    assert result.report.overshoot[AccountId("root")] > 0
    # 21 bills of 5 are above 100, and all but three of their calls have ended: 18 x 3 + 3 x 2 steps.
    assert result.bound == "no schedule of fewer than 60 steps breaks it"
