"""What is proved is never broken: every state of small scenarios is visited, and no proof says otherwise.

The scenarios are made to trap the abstractions: names that collide, entries in any order, groups before the slices
that they charge, slices in slices, slices of one's own, closes, faults, retries, streams, lies about the bill, and
bills above their holds. The search is left out, so that only the proofs speak.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsound.disciplines import DISCIPLINES
from capsound.explorer import Exploration, Scope, explore
from capsound.machine import compile_scenario, thaw
from capsound.predicates import STATE_PROPERTIES, default_properties
from capsound.properties import Property
from capsound.scenario import (
    ROOT,
    Agents,
    Assume,
    CallKind,
    Estimator,
    Faults,
    Interval,
    Plain,
    Provider,
    Request,
    Scenario,
    Slice,
    Stream,
)
from capsound.verdict import Verdict
from capsound_proofs.earning import judge_estimators
from capsound_proofs.fits import prove_by_sum
from capsound_proofs.general import prove_in_general
from capsound_proofs.lemmas import lemma_of
from capsound_proofs.numeric import numbers_invariant, prove_by_account, prove_with_numbers
from capsound_proofs.problem import Problem
from capsound_proofs.terms import truth
from capsound_proofs.vacuity import Contradiction, refuse_contradictions

STATES = 6_000
NAMES = st.sampled_from(["w", "w-1", "s", "slice s", "w#1", "agents"])


def amount(most: int, least: int = 0) -> st.SearchStrategy[Interval]:
    fixed = st.integers(least, most).map(Interval.exactly)
    ranges = st.tuples(st.integers(least, most), st.integers(1, 2)).map(lambda t: Interval(t[0], t[0] + t[1]))
    return st.one_of(fixed, fixed, ranges)


BILLS = (Interval(0, 4), Interval(1, 1), Interval(0, 0))
"""Bills beside those that are as large as their estimates, which break most."""

RACY = ["racy-counter", "racy-counter", "two-phase", "record-after", "lost-update-counter"]
OFTEN = [*RACY, "stream-extend", "split-and-return", "copied-slices", "retry-new-hold"]


@st.composite
def kinds_of_calls(draw: st.DrawFn, *, streams: bool, requests: bool) -> tuple[CallKind, ...]:
    kinds: list[CallKind] = []
    for number in range(draw(st.integers(1, 2))):
        cost: Plain | Stream | Request
        if streams:
            cost = Stream(draw(amount(2)), draw(st.integers(1, 4)))
        elif requests:
            growth = draw(st.integers(0, 2))
            cost = Request(Interval(0, draw(st.integers(0, 2))), max_output=draw(st.integers(0, 1)), growth=growth)
        else:
            size = draw(amount(3, 1))
            cost = Plain(size, draw(st.sampled_from([size, size, *BILLS])))
        kinds.append(CallKind(f"c{number}", cost))
    return tuple(kinds)


@st.composite
def trees(draw: st.DrawFn, cap: int) -> tuple[Slice, ...]:
    names = ["s", "slice s", "root-1"][: draw(st.sampled_from([0, 0, 1, 1, 2, 3]))]
    slices = [
        Slice(name, draw(st.sampled_from([ROOT, *names[:number]])), draw(amount(cap)))
        for number, name in enumerate(names)
    ]
    return tuple(draw(st.permutations(slices)))


@st.composite
def programs(draw: st.DrawFn, shared: list[str]) -> tuple[str, ...]:
    """Lines that may use a handle twice, use a slice that is closed, or close what others use."""
    lines: list[str] = []
    known = list(shared)
    for number in range(draw(st.integers(1, 4))):
        handle = draw(st.sampled_from(known))
        form = draw(st.sampled_from(["delegate {0} 2 -> h{1}", "call {0} -> h{1}", "call {0}", "close {0}"]))
        lines.append(form.format(handle, number))
        if "->" in form:
            known.append(f"h{number}")
    return tuple(lines)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    discipline = draw(st.sampled_from([*DISCIPLINES, *OFTEN]))
    streams = DISCIPLINES[discipline].streams
    requests = not streams and draw(st.integers(0, 4)) == 0
    cap = draw(st.integers(1, 6))
    slices = draw(trees(cap))
    calls = draw(kinds_of_calls(streams=streams, requests=requests))
    agents: list[Agents] = []
    people = 0
    for _ in range(draw(st.integers(1, 3))):
        if people >= 3:
            break
        own = draw(st.one_of(st.none(), st.none(), amount(cap)))
        if draw(st.integers(0, 5)) == 0 and "slice s" not in (piece.name for piece in slices):
            lines = draw(programs([ROOT, *(piece.name for piece in slices)]))
            agents.append(Agents(draw(NAMES), 1, ROOT, calls[0].name, program=lines))
            people += 1
            continue
        count = draw(st.integers(1, 2 if people else 3))
        people += count
        agents.append(
            Agents(
                draw(NAMES),
                count,
                draw(st.sampled_from([ROOT, *(piece.name for piece in slices)])),
                draw(st.sampled_from([kind.name for kind in calls])),
                calls=draw(st.integers(1, 3)) if people < 3 else 1,
                own_slice=own,
            )
        )
    a1 = draw(st.sampled_from([True, True, False, None] if requests else [True, True, False]))
    assume = Assume(
        a1=a1,
        a7=draw(st.sampled_from([True, True, True, False])),
        a9=draw(st.booleans()),
        a10=draw(st.sampled_from([True, True, False])),
        hidden_retries=draw(st.integers(0, 2)),
        shortfall=draw(st.sampled_from([None, Fraction(3, 2), Fraction(2)])) if a1 is False else None,
    )
    return Scenario(
        "generated",
        Interval.exactly(cap),
        discipline,
        tuple(draw(st.permutations(agents))),
        calls,
        slices=slices,
        faults=Faults(*(draw(st.sampled_from([0, 0, 0, 1])) for _ in range(3))),
        assume=assume,
        estimator=Estimator(overhead=draw(st.integers(0, 2)), history=draw(st.booleans())),
        provider=Provider(template=draw(st.integers(0, 1))),
    )


def explored(scenario: Scenario) -> Exploration | None:
    machine = compile_scenario(scenario)
    asked = [p for p in default_properties(machine) if p in STATE_PROPERTIES]
    found = explore(machine, asked, Scope(states=STATES), keep_states=True)
    # What was found broken is broken, whether or not all was seen.
    return found if found.complete or found.found else None


def proved_of(scenario: Scenario) -> Problem | None:
    """Return what the proofs say, without any search."""
    machine = compile_scenario(scenario)
    asked = [p for p in default_properties(machine) if p in STATE_PROPERTIES]
    problem = Problem(scenario, machine, asked, lambda _: None)
    try:
        refuse_contradictions(problem)
    except Contradiction:
        return None
    judge_estimators(problem)
    prove_in_general(problem)
    prove_by_sum(problem)
    prove_by_account(problem)
    prove_with_numbers(problem)
    return problem


def assert_nothing_broken_is_proved(scenario: Scenario) -> None:
    seen = explored(scenario)
    problem = proved_of(scenario) if seen is not None and seen.found else None
    if seen is None or problem is None:
        return
    for prop, schedule in seen.found.items():
        result = problem.results.get(prop)
        assert result is None or result.verdict is not Verdict.SOUND, (prop, result.bound, schedule.token)


def assert_every_state_satisfies_the_invariant(scenario: Scenario) -> None:
    machine = compile_scenario(scenario)
    seen = explore(machine, [Property.CAP], Scope(states=20), keep_states=True)
    problem = Problem(scenario, machine, [Property.CAP], lambda _: None)
    try:
        refuse_contradictions(problem)
    except Contradiction:
        return
    judge_estimators(problem)
    lemma = lemma_of(problem.scenario, numbers_invariant(problem.scenario, machine), machine)
    if lemma is None:
        return
    import z3

    for state in sorted(seen.seen):
        for fact in lemma(thaw(machine, state)):
            assert z3.is_true(z3.simplify(truth(fact))), (state, fact)


FAST = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@FAST
@given(scenarios())
def test_nothing_that_is_broken_is_proved(scenario: Scenario) -> None:
    assert_nothing_broken_is_proved(scenario)


@settings(FAST, max_examples=5)
@given(scenarios())
def test_every_state_satisfies_the_invariant(scenario: Scenario) -> None:
    assert_every_state_satisfies_the_invariant(scenario)


@pytest.mark.deep
@settings(FAST, max_examples=5_000, derandomize=False)
@given(scenarios())
def test_nothing_that_is_broken_is_proved_deep(scenario: Scenario) -> None:
    assert_nothing_broken_is_proved(scenario)
