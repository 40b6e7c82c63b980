"""A run that remembers what the monitor said tells, and finds, what one does that asks it anew."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_adapter import CallAdapter, ReferenceAdapter
from zoo import animal

from capsound.adapter import Adapter
from capsound_checker.schedules.agents import Program, programs
from capsound_checker.schedules.asynchronous import replay
from capsound_checker.schedules.concurrency import Concurrent, run
from capsound_checker.schedules.interleave import Chance, Cut
from capsound_checker.schedules.remembering import Memory

RACY: type[Adapter] = animal("call_checked_before_written_after_await").Target
TARGETS = {"racy": RACY, "calls": CallAdapter, "by hand": ReferenceAdapter}


def done(target: type[Adapter], program: Program, seed: int, memory: Memory | None) -> Concurrent | None:
    try:
        return run(target, program, Chance(seed), memory=memory)
    except Cut:
        return None


def shown(ran: Concurrent | None) -> Any:
    if ran is None:
        return None
    report = ran.report()
    return ran.events, ran.findings, ran.wrong(), report.findings, report.verdicts, report.exercise, ran.story()


@pytest.mark.parametrize("name", TARGETS)
@given(seeds=st.lists(st.integers(0, 40), min_size=1, max_size=6), number=st.integers(0, 50))
def test_what_is_remembered_is_what_is_said(name: str, seeds: list[int], number: int) -> None:
    target = TARGETS[name]
    tried = programs(target)
    program, memory = tried[number % len(tried)], Memory()
    for seed in seeds:
        anew = done(target, program, seed, None)
        assert shown(done(target, program, seed, memory)) == shown(anew)


def test_runs_of_several_programs_share_a_memory() -> None:
    memory = Memory()
    for program in (*programs(RACY), *programs(RACY)):
        for seed in range(3):
            assert shown(done(RACY, program, seed, memory)) == shown(done(RACY, program, seed, None))
    size = memory.size
    for program in programs(RACY):
        done(RACY, program, 0, memory)
    assert memory.size == size, "what was heard before is not worked out again"


def test_a_remembered_run_can_be_replayed() -> None:
    chooser = Chance(1)
    program = programs(RACY)[1]
    ran = run(RACY, program, chooser, memory=Memory())
    assert replay(RACY, program, chooser.choices).events == ran.events
