"""What is counted without a solver is never wrong: how far away a violation is, and how far a cap can be overshot.

The explorer knows the shortest run that breaks a property, and the largest overshoot, of small scenarios.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_agreement import scenarios

from capsound.explorer import Scope, explore
from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Faults, Interval, Plain, Scenario, Slice
from capsound_proofs.accounts import bounded_by_account, most_of_owners
from capsound_proofs.distance import steps_away
from capsound_proofs.inflight import in_flight_invariant
from capsound_proofs.planning import plan_of, planned_run
from capsound_proofs.playing import first_breaks
from capsound_proofs.problem import Problem
from capsound_proofs.worst import upper_bound


@st.composite
def in_row(draw: st.DrawFn) -> Scenario:
    """Several calls of an agent, agents with slices of their own, and chains of slices."""
    scenario = draw(scenarios())
    depth = draw(st.integers(0, 2))
    slices = tuple(Slice(f"d{n}", f"d{n - 1}" if n else "root", Interval.exactly(2)) for n in range(depth))
    if scenario.slices or not depth:
        return scenario
    own = Interval.exactly(1) if draw(st.booleans()) else None
    agents = Agents("a", draw(st.integers(1, 2)), f"d{depth - 1}", "c", calls=draw(st.integers(1, 2)), own_slice=own)
    return replace(scenario, slices=slices, agents=(agents,))


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(in_row())
def test_no_run_is_shorter_than_what_is_counted(scenario: Scenario) -> None:
    machine = compile_scenario(scenario)
    asked = [Property.CAP, Property.SLICE]
    explored = explore(machine, asked, Scope(states=3_000))
    broken = first_breaks(machine, scenario.cap.lo, asked)
    for prop in asked:
        away = steps_away(machine, prop)
        for run in (explored.found.get(prop), broken.get(prop)):
            assert run is None or (away is not None and away <= len(run.choices)), (prop, away)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(in_row())
def test_no_run_overshoots_by_more_than_what_others_have_in_flight(scenario: Scenario) -> None:
    machine = compile_scenario(scenario)
    explored = explore(machine, [Property.CAP], Scope(states=3_000))
    invariant = in_flight_invariant(Problem(scenario, machine, [], lambda _: None))
    most = upper_bound(invariant, scenario.cap.lo) if invariant is not None else None
    assert most is None or most >= explored.worst_overshoot


RACE = Scenario(
    "race",
    Interval.exactly(100),
    "racy-counter",
    (Agents("w", 3, "root", "c", calls=40),),
    (CallKind("c", Plain(Interval(0, 10), Interval(0, 10))),),
)


@pytest.mark.parametrize(
    ("changed", "over"),
    [
        ({}, 20),
        ({"discipline": "two-phase"}, 20),
        ({"discipline": "record-after"}, 29),
        ({"discipline": "reserve-settle"}, 0),
        ({"agents": (Agents("w", 1, "root", "c", calls=40),)}, 0),
        ({"assume": Assume(a1=False), "agents": (Agents("w", 1, "root", "c", calls=40),)}, 10),
        ({"agents": (Agents("w", None, "root", "c"),)}, None),
        ({"faults": Faults(cancel=1)}, 1100),  # what is forgotten is not in the ledger: all calls together
    ],
)
def test_the_others_in_flight_bound_the_overshoot(changed: dict[str, object], over: int | None) -> None:
    scenario = replace(RACE, **changed)  # type: ignore[arg-type]
    invariant = in_flight_invariant(Problem(scenario, compile_scenario(scenario), [], lambda _: None))
    assert invariant is not None
    assert upper_bound(invariant, 100) == over


def own_slices(random: Random) -> Scenario:
    """Agents with slices of their own, beside one on the root in some; bills above and below their estimates."""
    grant, estimate = random.randint(1, 2), random.randint(1, 2)
    count = random.randint(1, 2)
    agents: tuple[Agents, ...] = (
        Agents("a", count, "root", "c", calls=random.randint(1, 2), own_slice=Interval.exactly(grant)),
    )
    if count == 1 or random.random() < 0.3:
        agents += (Agents("b", 1, "root", "d", own_slice=random.choice((None, Interval.exactly(1)))),)
    kinds = (
        CallKind("c", Plain(Interval.exactly(estimate), Interval(random.randint(1, 3), 3))),
        CallKind("d", Plain(Interval.exactly(1), Interval.exactly(random.randint(1, 2)))),
    )
    name = random.choice(("racy-counter", "two-phase", "reserve-settle", "split-and-return"))
    assume = Assume(a1=False, a7=random.random() < 0.8)
    cap = Interval.exactly(random.randint(2, 3) + random.randint(0, 2) * count)
    return Scenario("own", cap, name, agents, kinds, assume=assume)


def planned(scenario: Scenario) -> tuple[int, bool] | None:
    """Return how many steps are planned where they were counted, and whether they are those of a shortest run."""
    machine = compile_scenario(scenario)
    bounded = bounded_by_account(Problem(scenario, machine, [], lambda _: None), scenario.cap.lo)
    plan = plan_of(machine, most_of_owners(bounded.accounts)) if bounded is not None else None
    explored = explore(machine, [Property.CAP], Scope(states=2_000))
    shortest = explored.found.get(Property.CAP)
    if plan is None:
        return None
    if shortest is not None:
        assert plan.steps <= len(shortest.choices), scenario
    run = planned_run(machine, plan)
    if run is None:
        return plan.steps, False
    # The run is as long as was counted, and none is shorter: the explorer knows no shorter one either.
    assert shortest is not None or not explored.complete, scenario
    assert shortest is None or len(run.choices) == plan.steps == len(shortest.choices), scenario
    return plan.steps, True


def test_no_run_is_shorter_than_what_is_planned_by_account() -> None:
    found = [planned(own_slices(Random(seed))) for seed in range(8)]
    counted = [one for one in found if one is not None]
    assert len(counted) >= 3
    assert sum(attained for _, attained in counted) >= 1
