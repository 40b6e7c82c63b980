"""Calls and chunks that do the same are summed up at one place, and no step of the machine is lost by it."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.machine import Branch, Env, Machine, compile_scenario, fire, initial
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Faults, Interval, Plain, Request, Scenario, Stream
from capsound.schedule import INTS, settled
from capsound_proofs.aggregate import Abstraction, Options
from capsound_proofs.folding import OUT, folded, steps
from capsound_proofs.invariants import find, goal

PLAIN = Plain(Interval(0, 3), Interval(0, 3))
ALL = Faults(1, 1, 1)


def machine_of(
    discipline: str, cost: Plain | Request | Stream, calls: int = 1, faults: Faults = ALL, a9: bool = True
) -> Machine:
    agents = Agents("w", 1, "root", "c", calls=calls)
    return compile_scenario(
        Scenario(
            "s",
            Interval.exactly(9),
            discipline,
            (agents,),
            (CallKind("c", cost),),
            faults=faults,
            assume=Assume(a9=a9),
        )
    )


def places(machine: Machine) -> set[int]:
    return set(folded(machine.processes[0].places)) - {OUT}


@pytest.mark.parametrize("discipline", [name for name, d in DISCIPLINES.items() if not d.streams])
def test_twenty_calls_are_summed_up_where_one_is(discipline: str) -> None:
    one, many = (machine_of(discipline, PLAIN, calls) for calls in (1, 20))
    assert places(many) == places(one)
    assert len(list(steps(many, [0]))) == len(list(steps(one, [0])))


def test_fifty_chunks_are_a_loop() -> None:
    short, long = (machine_of("stream-extend", Stream(Interval(0, 2), chunks)) for chunks in (3, 50))
    assert len(places(long)) == len(places(short))
    assert len(list(steps(long, [0]))) == len(list(steps(short, [0])))


def test_what_is_left_of_a_stream_counts_where_it_is_billed_after_a_cut() -> None:
    short, long = (machine_of("stream-extend", Stream(Interval(0, 2), chunks), a9=False) for chunks in (3, 50))
    assert len(places(long)) == len(places(short))
    assert len(list(steps(long, [0]))) > len(list(steps(short, [0])))


def test_calls_that_cost_more_each_time_are_told_apart() -> None:
    grows = Request(Interval(0, 9), max_output=1, growth=5)
    assert len(places(machine_of("racy-counter", grows, 4))) == 4 * len(places(machine_of("racy-counter", grows)))
    still = replace(grows, growth=0)
    assert places(machine_of("racy-counter", still, 4)) == places(machine_of("racy-counter", still))


@pytest.mark.parametrize("discipline", list(DISCIPLINES))
def test_every_step_of_a_run_is_a_step_of_the_loops(discipline: str) -> None:
    cost = Stream(Interval(0, 2), 4) if DISCIPLINES[discipline].streams else PLAIN
    machine = machine_of(discipline, cost, 3)
    fold = folded(machine.processes[0].places)
    known = {(step.branch.kind, step.source, step.target) for step in steps(machine, [0])}
    for seed in range(20):
        random, config = Random(seed), initial(machine, 9)
        while 0 <= (at := config.running[0].at) < machine.processes[0].done:
            ways = [branch for branch in machine.branches() if branch.place == at]
            branch = random.choice(ways)
            after = config.copy()
            draw = lambda _name, lo, hi, random=random: random.randint(lo, max(lo, hi))  # noqa: E731
            if not settled(fire(machine, after, branch, Env(INTS, draw))):
                continue
            to = after.running[0].at
            target = fold[-1 - to] if to < 0 else fold[to] if to < len(fold) else OUT
            assert (branch.kind, fold[at], target) in known, Branch
            config = after


@pytest.mark.parametrize(("agents", "kept"), [(1, True), (2, False)])
def test_one_agent_alone_keeps_the_cap_with_a_counter(agents: int, kept: bool) -> None:
    machine = machine_of("racy-counter", PLAIN, 20, Faults())
    invariant = find(Abstraction(machine, Options(agents={0: agents})))
    assert invariant.finished
    wanted = goal(invariant.abstraction, Property.CAP)
    assert wanted is not None
    assert invariant.implies(wanted) is kept
