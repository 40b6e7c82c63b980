"""Explorer and encoding by themselves, no proof between them: the same shortest length for each property.

Both are forced to answer: every state of a small scope is visited, and every length is asked of the solver. What the
solver finds is executed on integers on the way, and judged by the monitor.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations
from random import Random

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.errors import Disagreement
from capsound.explorer import Exploration, Scope, explore
from capsound.machine import Machine, compile_scenario
from capsound.monitor import fold
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Faults, Interval, Plain, Scenario, Slice, Stream
from capsound.schedule import run_schedule
from capsound.verdict import Verdict
from capsound_proofs.bmc import Found, shortest
from capsound_proofs.distance import steps_away

JUDGED = (Property.CAP, Property.SLICE, Property.TRUTH, Property.CONSERVATION, Property.PROGRESS)
PLAIN = [name for name, d in DISCIPLINES.items() if not d.streams]
STATES = 800
"""Scopes of more states are left to the explorer alone: 500 of these take less than a minute."""


def drawn(random: Random) -> Scenario:
    """Return a small scenario: slices, faults, streams, A1 off, hidden retries and what is spent meet in many."""
    streams = random.random() < 0.2
    cap, spent = random.randint(1, 4), random.choice((0, 0, 2))
    estimate, bill = random.randint(0, 3), random.randint(1, 3)
    a1 = random.random() < 0.4
    if a1 and bill > estimate:
        bill = estimate
    cost: Plain | Stream = Plain(Interval.exactly(estimate), Interval.exactly(bill))
    if streams:
        cost = Stream(Interval.exactly(random.randint(1, 2)), random.randint(1, 2))
    slices: tuple[Slice, ...] = ()
    account = "root"
    if random.random() < 0.4:
        slices = (Slice("s", "root", Interval.exactly(random.randint(0, cap))),)
        account = random.choice(("root", "s"))
    own = Interval.exactly(random.randint(0, 2)) if random.random() < 0.15 else None
    agents = (Agents("a", 1 if own else random.randint(1, 2), account, "c", own_slice=own),)
    if slices and random.random() < 0.5:
        agents += (Agents("b", 1, "s" if account == "root" else "root", "c"),)
    faults = Faults(*(int(random.random() < 0.2) for _ in range(3)))
    a10 = a1 or random.random() < 0.7
    assume = Assume(
        a1=a1,
        a7=random.random() < 0.8,
        a9=random.random() < 0.5,
        a10=a10,
        hidden_retries=None if a10 else 1,
    )
    name = "stream-extend" if streams else random.choice(PLAIN)
    kinds = (CallKind("c", cost),)
    return Scenario(
        "drawn",
        Interval.exactly(cap + spent),
        name,
        agents,
        kinds,
        slices=slices,
        faults=faults,
        assume=assume,
        spent=spent,
    )


def what_meets(scenario: Scenario) -> frozenset[str]:
    """Return which of the things that make a run unusual are in a scenario."""
    faults = scenario.faults
    found = {
        "slices": bool(scenario.slices) or any(agents.own_slice is not None for agents in scenario.agents),
        "faults": bool(faults.cancel or faults.timeout or faults.crash),
        "A1 off": scenario.assume.a1 is not True,
        "streams": any(isinstance(kind.cost, Stream) for kind in scenario.calls),
    }
    return frozenset(name for name, there in found.items() if there)


@cache
def small(seed: int) -> tuple[Machine, Exploration]:
    """Return the first scenario of a seed that has few states, and what the explorer says of it.

    That of an even seed breaks something.
    """
    random = Random(seed)
    while True:
        machine = compile_scenario(drawn(random))
        explored = explore(machine, JUDGED, Scope(states=STATES))
        if explored.complete and (explored.found or seed % 2):
            return machine, explored


def judged(seed: int) -> int:
    """Ask the encoding what the explorer has answered; return how many properties both found broken."""
    machine, explored = small(seed)
    broken = [prop for prop in JUDGED if prop in explored.found]
    relations: dict[int, object] = {}
    prop = broken[seed % len(broken)] if broken else JUDGED[seed % 2]
    run = explored.found.get(prop)
    found = shortest(
        lambda _: machine,
        prop,
        max_steps=len(run.choices) if run is not None else min(6, explored.depth),
        agents_at=lambda _: 1,
        everybody=None,
        relations=relations,  # type: ignore[arg-type]
    )
    said = len(found.schedule.choices) if isinstance(found, Found) else None
    assert said == (len(run.choices) if run is not None else None), (seed, prop, machine.scenario)
    if run is not None and isinstance(found, Found):
        away = steps_away(machine, prop)
        assert away is not None, (seed, prop, machine.scenario)
        assert away <= len(run.choices), (seed, prop, machine.scenario)
        for schedule in (run, found.schedule):
            assert fold(run_schedule(machine, schedule).events).verdicts[prop] is Verdict.VIOLATED, (seed, prop)
    return len(broken)


def share_of(share: int) -> list[int]:
    """Judge one tenth of the 500 scenarios."""
    return [judged(seed) for seed in range(50 * share, 50 * share + 50)]


@pytest.mark.parametrize("share", range(10))
def test_both_engines_say_the_same(share: int) -> None:
    found = share_of(share)
    assert sum(1 for broken in found if broken) * 2 >= len(found)


def test_slices_faults_streams_and_bills_above_their_holds_meet() -> None:
    judged_ones = [what_meets(small(seed)[0].scenario) for seed in range(500)]
    unusual = ("slices", "faults", "A1 off", "streams")
    for size in (1, 2, 3, 4):
        for together in combinations(unusual, size):
            assert any(met == frozenset(together) for met in judged_ones), together
    for pair in combinations(unusual, 2):
        assert sum(met >= frozenset(pair) for met in judged_ones) >= 20, pair


def test_a_step_that_the_encoding_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that is dropped from the encoding alone: the two no longer agree."""
    from capsound_proofs import relation

    whole = relation.Relation._fired

    def without_refusals(self: relation.Relation, fixed: set[int]) -> list[relation.Way]:
        return [replace(way, guard=True) if way.branch.kind == "refuse" else way for way in whole(self, fixed)]

    monkeypatch.setattr(relation.Relation, "_fired", without_refusals)
    with pytest.raises((AssertionError, Disagreement)):
        share_of(1)
