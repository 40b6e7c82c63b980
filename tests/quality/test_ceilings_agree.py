"""Explorer and solver agree where calls count in several ceilings, windows begin anew, and holds expire.

As ``test_agreement``, over scenarios of those. A guard that one ledger forgets, a projection that loses runs, a reset
that the proof does not know, or a twin that is taken for its place shows here as a disagreement.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capsound.disciplines import KNOWN, Discipline
from capsound.explorer import Scope, explore
from capsound.machine import compile_scenario
from capsound.monitor import fold
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import (
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
from capsound.steps import CHECK, DEBIT, FORFEIT, FORGET, RELEASE, RESERVE, SEND, SETTLE
from capsound.stores import LEAVE, enter
from capsound.verdict import Verdict
from capsound_proofs.solve import solve


def windows(*, forgets: bool) -> st.SearchStrategy[Window | None]:
    """No window, or one with few resets or any number."""
    keeps = st.booleans() if forgets else st.just(True)
    some = st.builds(Window, st.just("day"), keeps, st.sampled_from([1, 2, None]))
    return st.one_of(st.none(), some)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Small scenarios of every discipline: one or two ceilings beside the root, agents under some of them."""
    name = draw(st.sampled_from(sorted(KNOWN)))
    streams = KNOWN[name].streams
    forgets = not streams and not KNOWN[name].one_by_one
    a1 = streams or draw(st.booleans())
    if streams:
        cost: Plain | Stream = Stream(Interval.exactly(draw(st.integers(1, 2))), draw(st.integers(1, 2)))
    else:
        estimate = draw(st.integers(0, 4))
        cost = Plain(Interval.exactly(estimate), Interval.exactly(draw(st.integers(0, estimate if a1 else 4))))
    ceilings = []
    for number in range(draw(st.integers(0, 2))):
        parent = draw(st.sampled_from(["root", *[c.name for c in ceilings]]))
        dimension = draw(st.sampled_from(["money", "money", "requests"])) if not streams else "money"
        cap = Interval.exactly(draw(st.integers(0, 6)))
        ceilings.append(Ceiling(f"c{number}", parent, cap, dimension, draw(windows(forgets=forgets))))
    names = [ceiling.name for ceiling in ceilings]
    window = draw(windows(forgets=forgets))
    expire = 0 if not forgets else draw(st.sampled_from([0, 0, 1, 2]))
    crash = 0 if expire else draw(st.sampled_from([0, 0, 1]))
    if not (ceilings or window or expire):
        window = Window("day")
    agents = []
    for number in range(draw(st.integers(1, 2))):
        several = tuple(draw(st.permutations(names))) if names and draw(st.integers(0, 3)) == 0 else ()
        account = "root" if several else draw(st.sampled_from(["root", *names]))
        calls = draw(st.integers(1, 2))
        agents.append(
            Agents(f"a{number}", 1 if calls > 1 else draw(st.integers(1, 2)), account, "c", calls, ceilings=several)
        )
    faults = Faults(draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([0, 0, 1])), crash, expire)
    a7 = True if any(c.dimension != "money" for c in ceilings) else draw(st.sampled_from([True, True, True, False]))
    spent = draw(st.sampled_from([0, 0, 0, 1]))
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
        ceilings=tuple(ceilings),
        window=window,
    )


def slotted(slots: int, *, holds: bool) -> Discipline:
    """A semaphore around each call: sound where it holds, and racy from two slots on where it does not."""
    hold, undo = ((RESERVE,), (RELEASE, LEAVE)) if holds else ((), (FORGET, LEAVE))
    end, lost = ((SETTLE, LEAVE), (FORFEIT, LEAVE)) if holds else ((DEBIT, LEAVE), (FORGET, LEAVE))
    blocks = ((enter(slots),), (CHECK, *hold), (SEND,), end)
    return Discipline("slotted", "", blocks, undo, lost, (LEAVE,), slots=slots)


@st.composite
def ordered(draw: st.DrawFn) -> Scenario:
    """The same with agents that may stop early, that come after others, and that share a few slots."""
    scenario = draw(scenarios())
    agents = list(scenario.agents)
    for number, group in enumerate(agents):
        if draw(st.booleans()):
            agents[number] = replace(group, up_to=True)
    if len(agents) > 1 and draw(st.booleans()):
        agents[1] = replace(agents[1], after=("a0",))
    table = scenario.table
    if scenario.faults.crash == 0 and not isinstance(scenario.calls[0].cost, Stream) and draw(st.booleans()):
        table = slotted(draw(st.integers(1, 2)), holds=draw(st.booleans()))
    name = scenario.discipline if table is None else table.name
    return replace(scenario, agents=tuple(agents), table=table, discipline=name)


def assert_agreement(scenario: Scenario) -> None:
    machine = compile_scenario(scenario)
    asked = [p for p in default_properties(machine) if p is not Property.HANDLES]
    explored = explore(machine, asked, Scope(states=20_000))
    outcome = solve(replace(scenario, properties=tuple(asked)))
    for prop in asked:
        result = outcome.result(prop)
        broken = explored.found.get(prop)
        if broken is not None:
            assert result.verdict is not Verdict.SOUND, (prop, result.bound)
            # What the explorer found the monitor must see too, as it must for what the solver found.
            assert fold(run_schedule(machine, broken).events).verdicts[prop] is Verdict.VIOLATED, prop
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
    if explored.complete:
        useless = "useless" in outcome.flags
        # Of a call that has entered the flag may not know that it is never admitted; it never says so of one that is.
        assert useless == (not explored.admitted) or (machine.discipline.slots and not useless)


@settings(
    max_examples=10,  # `make deep` takes more
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(scenarios())
def test_explorer_and_solver_agree_on_ceilings(scenario: Scenario) -> None:
    assert_agreement(scenario)


@pytest.mark.deep
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(scenarios())
def test_explorer_and_solver_agree_on_ceilings_deep(scenario: Scenario) -> None:
    assert_agreement(scenario)


@settings(
    max_examples=12,  # `make deep` takes more
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(ordered())
def test_explorer_and_solver_agree_on_ceilings_with_an_order(scenario: Scenario) -> None:
    assert_agreement(scenario)


@pytest.mark.deep
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(ordered())
def test_explorer_and_solver_agree_on_ceilings_with_an_order_deep(scenario: Scenario) -> None:
    assert_agreement(scenario)
