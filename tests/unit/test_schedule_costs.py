"""What schedules need not cost: a collector, a run that was made before, the reading of agents that differ anyway."""

from __future__ import annotations

import copy
import gc
from collections.abc import Sequence
from typing import Any

import pytest
from reference_adapter import CallAdapter
from zoo import animal

from capsound.adapter import Adapter
from capsound_checker.programs.evidence import GateEvidence, gate_evidence
from capsound_checker.schedules import asynchronous
from capsound_checker.schedules.agents import Call, Program, programs
from capsound_checker.schedules.concurrency import Concurrent, run, world_of
from capsound_checker.schedules.interleave import Chance, Cut, Replay, State
from capsound_checker.schedules.objects import Reader
from capsound_checker.schedules.runstate import RunState
from capsound_checker.schedules.statekey import _agent, _in_order

RACY: type[Adapter] = animal("call_checked_before_written_after_await").Target
THREE = Program(3, ((Call(2, 2),),) * 3)
RUNS = 10


@pytest.mark.parametrize("target", [RACY, CallAdapter])
@pytest.mark.parametrize("choices", [(), (0, 0, 1, 1), (0, 1, 0, 1)])
def test_a_run_leaves_next_to_nothing_to_the_collector(target: type[Adapter], choices: tuple[int, ...]) -> None:
    """It is made of objects that know each other, some hundred: they are let go of when it is over."""
    run(target, THREE, Replay(choices))
    gc.collect()
    gc.disable()
    try:
        for _ in range(RUNS):
            run(target, THREE, Replay(choices))
        left = gc.collect()
    finally:
        gc.enable()
    assert left < 10 * RUNS


class Looks(Chance):
    """Compares at every choice in which order the agents are read."""

    def __init__(self, seed: int, seen: list[int]) -> None:
        super().__init__(seed)
        self.seen = seen
        self.state: RunState | None = None

    def choose(self, actors: Sequence[int], state: State | None = None) -> int:
        run, world = self.state, world_of(RACY)
        assert run is not None
        assert world is not None
        whole = sorted(run.agents, key=lambda agent: repr(_agent(run, agent, Reader(world, run.loop))))
        assert _in_order(run, Reader(world, run.loop)) == whole
        self.seen.append(len(whole))
        return super().choose(actors, state)


@pytest.mark.parametrize("target", [RACY, CallAdapter])
def test_agents_are_read_in_the_order_of_all_that_can_be_read_of_them(target: type[Adapter]) -> None:
    seen: list[int] = []
    for program in (THREE, *programs(target)):
        for seed in range(4):
            chooser = Looks(seed, seen)
            made = Concurrent(target(), program)
            chooser.state = made.state
            try:
                made.go(chooser)
            except Cut:
                continue
    assert seen.count(3) > 10, "else little was compared"


@pytest.mark.parametrize("name", ["call_checked_before_written_after_await", "cancel_after_send_refunds"])
def test_what_was_run_for_one_anomaly_is_counted_for_the_next_and_not_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest programs, what they cost and what they have tried are those of a search that runs all anew."""
    target: type[Adapter] = animal(name).Target
    real, ran = asynchronous.run, [0]

    def counted(*args: Any, **kwargs: Any) -> Any:
        ran[0] += 1
        return real(*args, **kwargs)

    monkeypatch.setattr(asynchronous, "run", counted)
    evidence, shown, runs = gate_evidence(target), [], []
    for anew in (False, True):
        search = asynchronous._Search(target, 0, fifo=False, end=None)
        for program in programs(target):
            search.cover(program, 2_000, None)
        assert len(search.shown) > 1
        ran[0], begin, before = 0, search.work.steps, copy.copy(evidence)
        found = []
        for anomaly in sorted(search.shown):
            found.append(search.smallest(anomaly, 5_000))
            if anew:
                search.tried.clear()
        shown.append((found, search.work.steps - begin, evidence.since(before)))
        runs.append(ran[0])
    assert shown[0] == shown[1]
    assert shown[0][2] != GateEvidence()
    assert runs[0] < runs[1]


def test_an_error_is_met_again_by_whoever_asks_next(monkeypatch: pytest.MonkeyPatch) -> None:
    search = asynchronous._Search(RACY, 0, fifo=False, end=None)
    asked = [0]

    def fails(*_: Any, **__: Any) -> Any:
        asked[0] += 1
        raise asynchronous.NotRepeatable("another run")

    monkeypatch.setattr(asynchronous, "run", fails)
    for times in (1, 2):
        assert search._least("overshoot", THREE, 100, fifo=False) is None
        assert asked[0] == times
