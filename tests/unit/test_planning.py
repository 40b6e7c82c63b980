"""The fewest steps that break a cap of slices, and the run that is played after the plan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

import pytest

from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Faults, Interval, Plain, Scenario, Search, Slice
from capsound.verdict import Verdict
from capsound_proofs.planning import Plan, plan_of, planned_run
from capsound_proofs.search import believe
from capsound_proofs.solve import solve


def fleet(count: int, **changed: object) -> Scenario:
    """Workers with a slice of 50 each, whose two calls are billed up to 46 for an estimate of 31."""
    keys: dict[str, object] = {
        "name": "fleet",
        "cap": Interval.exactly(60 * count),
        "discipline": "split-and-return",
        "agents": (Agents("w", count, "root", "c", calls=2, own_slice=Interval.exactly(50)),),
        "calls": (CallKind("c", Plain(Interval.exactly(31), Interval(0, 46))),),
        "assume": Assume(a1=False),
    }
    return Scenario(**(keys | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "steps", "calls"), [(2, 12, (2, 2)), (4, 21, (2, 2, 2, 1)), (64, 336, (2,) * 48 + (1,) * 16)]
)
def test_the_last_agents_need_no_second_call(count: int, steps: int, calls: tuple[int, ...]) -> None:
    machine = compile_scenario(fleet(count))
    plan = plan_of(machine, {0: 65})
    assert plan == Plan(steps, (calls,))
    assert plan is not None
    run = planned_run(machine, plan)
    assert run is not None
    assert len(run.choices) == steps
    believe(machine, run, Property.CAP)


def test_what_is_found_is_a_shortest_run() -> None:
    found = solve(fleet(4))
    cap, in_slice = (r for r in found.results if r.verdict is Verdict.VIOLATED)
    assert (cap.bound, cap.method) == (
        "no schedule of fewer than 21 steps breaks it",
        "played, replayed by the monitor",
    )
    assert in_slice.bound == "no schedule of fewer than 6 steps breaks it"
    assert found.worst is not None
    assert (found.worst.least, found.worst.most) == (20, 20)


def test_who_asks_for_few_steps_is_told_of_few() -> None:
    found = solve(fleet(4, search=Search(steps=20), properties=(Property.CAP,))).result(Property.CAP)
    assert found.verdict is Verdict.UNKNOWN
    assert "no run of fewer than 21 steps can break it" in found.bound


@pytest.mark.parametrize(
    "changed",
    [
        {"faults": Faults(timeout=1)},
        {"cap": Interval(60, 120)},
        {"slices": (Slice("s", "root", Interval.exactly(9)),)},
        {"agents": (Agents("w", None, "root", "c", calls=2, own_slice=Interval.exactly(50)),)},
        {"agents": (Agents("w", 2, "root", "c", calls=2, up_to=True, own_slice=Interval.exactly(50)),)},
        {"calls": (CallKind("c", Plain(Interval.exactly(31), Interval(0, None))),)},
    ],
)
def test_nothing_is_counted_where_calls_are_not_as_they_are_counted(changed: dict[str, object]) -> None:
    assert plan_of(compile_scenario(fleet(2, **changed)), {0: 65}) is None


def test_what_cannot_be_exceeded_has_no_plan() -> None:
    assert plan_of(compile_scenario(fleet(2)), {0: 60}) is None
    assert plan_of(compile_scenario(fleet(2)), {0: 61}) is not None


def _drawn(random: Random) -> tuple[Scenario, dict[int, int]]:
    agents, calls, most = [], [], {}
    for entry in range(random.randint(1, 2)):
        own = Interval.exactly(9) if random.random() < 0.7 else None
        agents.append(
            Agents(f"a{entry}", random.randint(1, 2), "root", f"c{entry}", random.randint(1, 3), own_slice=own)
        )
        calls.append(CallKind(f"c{entry}", Plain(Interval.exactly(1), Interval(0, random.randint(1, 9)))))
        if own is not None:
            most[entry] = random.randint(0, 20)
    discipline = random.choice(("racy-counter", "reserve-settle", "split-and-return", "two-phase"))
    cap = Interval.exactly(random.randint(2, 25))
    return fleet(1, cap=cap, agents=tuple(agents), calls=tuple(calls), discipline=discipline), most


def _all_ways(scenario: Scenario, most: dict[int, int]) -> Iterator[tuple[int, int, tuple[tuple[int, ...], ...]]]:
    """Yield what any number of calls of each agent are billed at most, how many steps they take, and how many."""
    machine = compile_scenario(scenario)
    blocks, sending = len(machine.discipline.blocks), machine.discipline.sending
    numbers = [range(agents.calls + 1) for agents in scenario.agents for _ in range(agents.count or 0)]
    for made in product(*numbers):
        billed = steps = 0
        left = iter(made)
        calls = tuple(tuple(next(left) for _ in range(agents.count or 0)) for agents in scenario.agents)
        for entry, agents in enumerate(scenario.agents):
            kind = scenario.call(agents.call).cost
            assert isinstance(kind, Plain)
            top = kind.bill.hi or 0
            for number in calls[entry]:
                billed += min(number * top, most.get(entry, number * top))
                steps += (agents.own_slice is not None) + (number - 1) * blocks + sending + 1 if number else 0
        yield billed, steps, calls


def test_no_other_number_of_calls_takes_fewer_steps() -> None:
    random, plans, exact = Random(0), 0, 0
    for _ in range(300):
        scenario, most = _drawn(random)
        ways = [(steps, calls) for billed, steps, calls in _all_ways(scenario, most) if billed > scenario.cap.lo]
        plan = plan_of(compile_scenario(scenario), most)
        if not ways:
            assert plan is None
            continue
        assert plan is not None
        assert plan.steps <= min(steps for steps, _ in ways)
        plans += 1
        if plan.calls is not None:
            assert (plan.steps, tuple(tuple(sorted(c, reverse=True)) for c in plan.calls)) in ways
            exact += 1
    assert plans > 150
    assert exact * 10 > plans * 7
