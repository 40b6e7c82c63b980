"""Explorer and solver agree on generated scenarios: same verdicts, same shortest length, same worst overshoot.

The two share the atomic blocks and nothing else: the explorer enumerates integers, the solver asks z3. A wrong
guard in the encoding, a lemma that is no invariant, a symmetry that loses runs or a bound that is off by one
shows here as a disagreement.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsound.disciplines import DISCIPLINES
from capsound.explorer import Scope, explore
from capsound.machine import compile_scenario
from capsound.monitor import fold
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Faults, Interval, Plain, Scenario, Search, Slice, Stream
from capsound.schedule import run_schedule
from capsound.verdict import Verdict
from capsound_proofs.solve import solve

PLAIN = [name for name, d in DISCIPLINES.items() if not d.streams]


def amounts(most: int) -> st.SearchStrategy[Interval]:
    """Mostly fixed amounts, now and then a small range."""
    fixed = st.integers(0, most).map(Interval.exactly)
    ranges = st.tuples(st.integers(0, most), st.integers(0, 2)).map(lambda t: Interval(t[0], t[0] + t[1]))
    return st.one_of(fixed, fixed, ranges)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Small scenarios of every discipline: one to three agents, slices, faults, with and without A1."""
    name = draw(st.sampled_from([*PLAIN, "stream-extend"]))
    spent = draw(st.sampled_from([0, 0, 0, 1, 5]))
    cap = spent + draw(st.integers(1, 6))
    a1 = draw(st.booleans())
    if name == "stream-extend":
        cost: Plain | Stream = Stream(Interval.exactly(draw(st.integers(1, 2))), draw(st.integers(1, 2)))
        a1 = True
    else:
        estimate = draw(amounts(4))
        bill = draw(amounts(4))
        if a1 and bill.lo > estimate.lo:
            bill = Interval(estimate.lo, max(estimate.lo, bill.hi or 0))
        cost = Plain(estimate, bill)
    slices: tuple[Slice, ...] = ()
    account = "root"
    if draw(st.integers(0, 3)) == 0:
        slices = (Slice("s", "root", Interval.exactly(draw(st.integers(0, cap - spent)))),)
        account = draw(st.sampled_from(["root", "s"]))
    count = draw(st.integers(1, 2 if slices else 3))
    agents = [Agents("a", count, account, "c", calls=draw(st.integers(1, 2)) if count == 1 else 1)]
    if slices and draw(st.booleans()):
        agents.append(Agents("b", 1, "s" if account == "root" else "root", "c"))
    faults = Faults(*(draw(st.sampled_from([0, 0, 0, 1])) for _ in range(3)))
    assume = Assume(a1=a1, a7=draw(st.sampled_from([True, True, True, False])), a9=draw(st.booleans()))
    return Scenario(
        "generated",
        Interval.exactly(cap),
        name,
        tuple(agents),
        (CallKind("c", cost),),
        slices=slices,
        faults=faults,
        assume=assume,
        search=Search(steps=40, seconds=60),
        spent=spent,
    )


def assert_agreement(scenario: Scenario) -> None:
    machine = compile_scenario(scenario)
    asked = [p for p in default_properties(machine) if p is not Property.HANDLES]
    explored = explore(machine, asked, Scope(states=60_000))
    if not explored.complete:
        return
    outcome = solve(replace(scenario, properties=tuple(asked)))
    for prop in asked:
        result = outcome.result(prop)
        broken = prop in explored.found
        assert result.verdict is (Verdict.VIOLATED if broken else Verdict.SOUND), (prop, result.bound)
        if not broken:
            continue
        assert result.trace is not None
        schedule = explored.found[prop]
        assert len(result.trace.schedule.choices) == len(schedule.choices), prop
        # What the explorer found the monitor must see too, as it must for what the solver found.
        assert fold(run_schedule(machine, schedule).events).verdicts[prop] is Verdict.VIOLATED
    if outcome.worst is not None:
        assert outcome.worst.least <= explored.worst_overshoot
        assert outcome.worst.most is None or outcome.worst.most >= explored.worst_overshoot
    assert ("useless" in outcome.flags) == (not explored.admitted)


@settings(
    max_examples=3 if os.environ.get("HYPOTHESIS_PROFILE") == "quick" else 15,  # a second each; `make deep` takes 5,000
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(scenarios())
def test_explorer_and_solver_agree(scenario: Scenario) -> None:
    assert_agreement(scenario)


@pytest.mark.deep
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(scenarios())
def test_explorer_and_solver_agree_deep(scenario: Scenario) -> None:
    assert_agreement(scenario)
