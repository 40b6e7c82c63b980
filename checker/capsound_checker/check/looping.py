"""The jobs that let coroutines run on a loop of ours, which chooses who goes on."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from typing import Any

from capsound.adapter import Adapter
from capsound_checker.check.runs import events_data
from capsound_checker.check.voice import Voice
from capsound_checker.programs.evidence import gate_evidence
from capsound_checker.schedules import agents, asynchronous, concurrency
from capsound_checker.schedules.asynchronous import explore
from capsound_checker.schedules.interleave import Chance, Cut


def explore_loop(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Let real coroutines run on a loop that chooses who goes on."""
    voice.doing("asyncio")
    explored = explore(
        adapter, seconds=request["seconds"] or None, seed=request["seed"], schedules=request["schedules"]
    )
    for found in explored.findings:
        told = {"program": found.program.to_dict(), "choices": list(found.choices), "fifo": found.fifo}
        _say_replayed(adapter, told, voice)
    if not explored.needs:
        for scope in explored.scopes:
            _samples(adapter, scope.program, request["seed"], voice)
    voice.say(
        "explored",
        schedules=explored.schedules,
        programs=len(explored.scopes),
        complete=sum(scope.complete for scope in explored.scopes),
        informative=explored.informative,
        needs=explored.needs,
        struck=explored.struck,
        **gate_evidence(adapter).to_dict(),
    )


def _samples(adapter: type[Adapter], program: agents.Program, seed: int, voice: Voice) -> None:
    """Send a few schedules of a program as they were heard, for the other process to see what was tried."""
    for number in range(_SCHEDULES_TOLD):
        chooser = Chance(seed * 1_000 + number)
        with warnings.catch_warnings(), contextlib.suppress(Cut):
            warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that the library never awaits
            run = concurrency.run(adapter, program, chooser)
            told = {"program": program.to_dict(), "choices": list(chooser.choices), "fifo": False}
            voice.say("sample", program=[], events=events_data(run.record), story=run.story(), schedule=told)


_SCHEDULES_TOLD = 4
"""How many schedules of each program are told to the process that judges."""


def _say_replayed(adapter: type[Adapter], told: Mapping[str, Any], voice: Voice) -> None:
    program = agents.Program.from_dict(told["program"])
    run = asynchronous.replay(adapter, program, tuple(told["choices"]), fifo=told["fifo"])
    voice.say("run", program=[], events=events_data(run.record), story=run.story(), schedule=told)


def replay_loop(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Run the schedule of a token."""
    _say_replayed(adapter, request["schedule"], voice)
