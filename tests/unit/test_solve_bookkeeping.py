"""The bookkeeping of ``solve``: names are for people, the order of the file changes nothing, no run is lost.

Each case once made it say ``sound`` of a design that overshoots, or fail.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from capsound.explorer import Scope, explore
from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Interval, Plain, Scenario, Search, Slice
from capsound.schedule import Choice, Schedule
from capsound.verdict import Verdict
from capsound_proofs.search import renumbered
from capsound_proofs.solve import solve

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
