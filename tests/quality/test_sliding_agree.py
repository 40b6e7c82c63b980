"""Windows that slide: the explorer, the solver and the monitor of windows must agree on scenarios drawn at random.

The explorer and the solver know an order in which things leave; the monitor knows moments. What one of them calls broken
the others must see, too, and what is proved holds in every state.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsound.disciplines import KNOWN
from capsound.errors import BadDiscipline, Disagreement
from capsound.explorer import Scope, explore
from capsound.judged import judge
from capsound.machine import compile_scenario
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import (
    BUCKET,
    FIRST,
    HELD,
    SETTLED,
    Agents,
    Assume,
    CallKind,
    Ceiling,
    Faults,
    Interval,
    Plain,
    Scenario,
    Search,
    Stream,
    Window,
)
from capsound.schedule import run_schedule
from capsound.sliding import bucket_of
from capsound.verdict import Verdict
from capsound_proofs.solve import solve


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Small scenarios of every discipline under windows that slide, with a ceiling or without."""
    name = draw(st.sampled_from(sorted(KNOWN)))
    discipline = KNOWN[name]
    lets_go = not discipline.streams and not discipline.one_by_one
    a1 = discipline.streams or draw(st.booleans())
    if discipline.streams:
        cost: Plain | Stream = Stream(Interval.exactly(draw(st.integers(1, 2))), draw(st.integers(1, 2)))
    else:
        estimate = draw(st.integers(0, 4))
        cost = Plain(Interval.exactly(estimate), Interval.exactly(draw(st.integers(0, estimate if a1 else 4))))

    def window() -> Window:
        keeps = not lets_go or draw(st.sampled_from([True, True, False]))
        forgets = draw(st.sampled_from([SETTLED, HELD, FIRST, BUCKET] if not buckets else [SETTLED, HELD]))
        return Window("sliding 24 h", keeps, None, slides=True, forgets=forgets, buckets=buckets)

    buckets = draw(st.sampled_from([0, 0, 0, 1, 2, 24]))

    ceilings: tuple[Ceiling, ...] = ()
    if draw(st.booleans()):
        dimension = draw(st.sampled_from(["money", "requests"])) if not discipline.streams else "money"
        inner = window() if draw(st.booleans()) else None
        ceilings = (Ceiling("c0", "root", Interval.exactly(draw(st.integers(1, 6))), dimension, inner),)
    account = "c0" if ceilings else "root"
    calls = draw(st.integers(1, 2))
    agents = [Agents("a0", 1 if calls > 1 else 2, account, "c", calls)]
    if calls > 1 and draw(st.booleans()):
        agents.append(Agents("a1", 1, "root", "c", 1))
    faults = Faults(
        draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([0, 0, 1]))
    )
    a7 = True if any(c.dimension != "money" for c in ceilings) else draw(st.sampled_from([True, True, True, False]))
    spent = draw(st.sampled_from([0, 0, 0, 1]))
    outer = None if ceilings and ceilings[0].window and draw(st.booleans()) else window()
    return Scenario(
        "generated",
        Interval.exactly(spent + draw(st.integers(1, 6))),
        name,
        tuple(agents),
        (CallKind("c", cost),),
        faults=faults,
        assume=Assume(a1=a1, a7=a7),
        search=Search(steps=40),
        spent=spent,
        ceilings=ceilings,
        window=outer,
    )


def assert_agreement(scenario: Scenario) -> None:
    """The explorer, the solver and the monitor of windows say the same of every property."""
    try:
        machine = compile_scenario(scenario)
    except BadDiscipline:
        return
    asked = [p for p in default_properties(machine) if p is not Property.HANDLES]
    explored = explore(machine, asked, Scope(states=20_000))
    outcome = solve(replace(scenario, properties=tuple(asked)))
    for prop in asked:
        result = outcome.result(prop)
        broken = explored.found.get(prop)
        if broken is not None:
            assert result.verdict is not Verdict.SOUND, (prop, result.bound)
            trace = run_schedule(machine, broken)
            if trace.moments is None:
                assert machine.slides
                assert bucket_of(machine)
                assert result.verdict is not Verdict.SOUND
                continue
            seen = judge(machine, trace).verdicts
            assert seen[prop] is Verdict.VIOLATED, prop
            for other in asked:  # what is proved, the monitor finds broken in no run
                assert outcome.result(other).verdict is not Verdict.SOUND or seen[other] is not Verdict.VIOLATED, other
        elif explored.complete:
            assert result.verdict is not Verdict.VIOLATED, (prop, result.bound)
        if explored.complete and len(broken.choices if broken else ()) <= 12:
            decided = Verdict.SOUND if broken is None else Verdict.VIOLATED
            assert result.verdict in (decided, Verdict.UNKNOWN), prop
            if broken is not None and result.trace is not None:
                assert len(result.trace.schedule.choices) == len(broken.choices), prop
    if outcome.worst is not None and explored.complete:
        assert outcome.worst.least <= explored.worst_overshoot
        assert outcome.worst.most is None or outcome.worst.most >= explored.worst_overshoot


@settings(
    max_examples=8,  # `make deep` takes more
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(scenarios())
def test_explorer_and_solver_agree_on_windows_that_slide(scenario: Scenario) -> None:
    assert_agreement(scenario)


@pytest.mark.deep
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(scenarios())
def test_explorer_and_solver_agree_on_windows_that_slide_deep(scenario: Scenario) -> None:
    assert_agreement(scenario)


def _two(forgets: str) -> Scenario:
    """Two calls of 4 under a cap of 6."""
    four = Interval.exactly(4)
    return Scenario(
        "two",
        Interval.exactly(6),
        "reserve-settle",
        (Agents("a", 2, "root", "c"),),
        (CallKind("c", Plain(four, four)),),
        window=Window("sliding 24 h", slides=True, forgets=forgets),
        properties=(Property.CAP,),
    )


def test_a_proof_speaks_of_every_length_and_a_counterexample_has_moments() -> None:
    proved = solve(_two(SETTLED)).result(Property.CAP)
    assert proved.bound == "proved for every cap, amount, schedule, length of the window, number of agents and calls"
    assert proved.invariant
    broken = solve(_two(HELD)).result(Property.CAP)
    assert broken.trace is not None
    assert broken.trace.moments
    assert broken.anomaly == "overshoot"


@pytest.mark.parametrize("forgets", [HELD, BUCKET])
def test_a_proof_that_takes_an_early_ledger_for_a_late_one_is_noticed(
    forgets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsound_proofs.sliding.SETTLED", forgets)
    with pytest.raises(Disagreement, match="not for concrete runs"):
        solve(_two(forgets))


def test_a_proof_of_one_ceiling_does_not_speak_of_one_that_forgets_otherwise() -> None:
    team = Ceiling("team", "root", Interval.exactly(6), "money", Window("sliding 24 h", slides=True, forgets=HELD))
    agents = (Agents("a", 2, "team", "c"),)
    whole = replace(_two(SETTLED), cap=Interval.exactly(100), ceilings=(team,), agents=agents)
    assert solve(whole).result(Property.CAP).verdict is Verdict.VIOLATED
    alike = replace(team, window=Window("sliding 24 h", slides=True))
    assert solve(replace(whole, ceilings=(alike,))).result(Property.CAP).verdict is Verdict.SOUND


def test_a_run_without_moments_is_no_counterexample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsound.sliding.moments", lambda *_, **__: ())
    result = solve(_two(BUCKET)).result(Property.CAP)
    assert result.verdict is Verdict.UNKNOWN
    assert "no moments are found" in result.bound
