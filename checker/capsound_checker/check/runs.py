"""Runs as messages: a program is run once more, and sent with all that happened in it."""

from __future__ import annotations

from collections.abc import Iterable

from capsound.adapter import Adapter
from capsound_checker.check.voice import Voice
from capsound_checker.display.telling import error_data
from capsound_checker.programs.lockstep import AdapterFailed, Lockstep
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import Record
from capsound_checker.programs.timing import told_data


def show(adapter: type[Adapter], program: Iterable[Step], voice: Voice) -> None:
    """Run a program once more, and send it with everything that was heard, for the other process to judge."""
    run = Lockstep(adapter())
    try:
        run.run(program)
    except AdapterFailed as failed:
        voice.say("failed", **error_data(failed))
        return
    voice.say("run", program=run.steps, events=events_data(run), story=run.story())


def events_data(run: Record) -> list[dict[str, object]]:
    """Return the events of a run as JSON data, with their moments where it is one in time."""
    timing = run.timing if run.moments else None
    return told_data(run.events, run.moments, timing, run.under, run.sizes)
