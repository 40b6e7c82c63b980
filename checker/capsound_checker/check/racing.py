"""The jobs that let two operations meet: in two threads, and one inside the other as in a signal handler."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from capsound.adapter import Adapter, Kind
from capsound.errors import CapsoundError
from capsound_checker.check.judging import bill_in_full, spend_until_refused
from capsound_checker.check.runs import events_data, show
from capsound_checker.check.tokens import race_token
from capsound_checker.check.voice import Voice
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import Step
from capsound_checker.schedules.orders import events_of
from capsound_checker.schedules.preempting import Interrupted, Preempted
from capsound_checker.schedules.threads import (
    BEFORE,
    BEFOREHAND,
    GATES,
    NEEDS_LOOP,
    Race,
    again,
    hunt,
    interrupt,
    pairs,
)


def race_threads(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Two operations in two threads, every pair in turn."""
    if not opens(adapter, voice):
        return
    most = request["schedules"]
    until, raced = _until(request), dict[str, int]()
    turns = 0

    def told(one: Step, two: Step) -> None:
        nonlocal turns
        if time.monotonic() > until:
            raise _TimeIsUp
        turns += 1
        voice.doing(f"threads {one.do} {two.do}")

    try:
        found, count = hunt(adapter, most=most or 400_000, told=told, raced=raced)
    except _TimeIsUp:
        voice.say("cut", job="threads", schedules=turns, late=True)
        voice.say("schedules", job="threads", schedules=turns)
        return
    if found is not None:
        _say_race(adapter, found, voice)
    elif most is not None and most - count <= BEFOREHAND:  # too few were left for one more turn
        voice.say("cut", job="threads", schedules=count)
    gate = GATES[adapter.gate]
    voice.say(
        "schedules", job="threads", schedules=count, gate=gate, raced=0 if NEEDS_LOOP in raced else raced.get(gate, 0)
    )


def opens(adapter: type[Adapter], voice: Voice) -> bool:
    """Whether a root can be opened; without one no two operations can meet, and what is wrong is shown."""
    opening = [BEFORE[0]]
    run = Lockstep(adapter()).run(opening)
    if run.wrong():
        show(adapter, opening, voice)
    return not run.spoiled


class _TimeIsUp(Exception):
    """The share of the time that a driver had is used up."""


def _until(request: Mapping[str, Any]) -> float:
    """Return until when, on the monotonic clock, a driver may begin something."""
    return float("inf") if request.get("seconds") is None else time.monotonic() + float(request["seconds"])


def _say_race(adapter: type[Adapter], race: Race, voice: Voice) -> None:
    job = "handlers" if race.handler else "threads"
    token = race_token(job, race.at, race.before, race.first, race.second)
    spent = _spent_after(adapter, race)
    voice.say(
        "race",
        anomaly=race.anomaly,
        sentence=race.sentence,
        story=race.story(),
        token=token,
        events=[] if spent is None else events_data(spent),
    )


def _spent_after(adapter: type[Adapter], race: Race) -> Lockstep | None:
    """Run a race once more and spend all that the implementation still gives out: whether a cap breaks shows then."""
    kind = Interrupted if race.handler else Preempted
    raced = kind(adapter, race.before, race.first, race.second, race.at, None)
    raced.run()
    if raced.hung:
        return None
    run = raced.base
    try:
        for step, answer in zip(raced.steps, raced.answers, strict=True):
            if answer.kind is Kind.DONE:
                for event in events_of(step, run):
                    run.tell(event)
                if step.do == "reserve":
                    run.handles[step.new] = answer.value
                elif step.do == "delegate":
                    run.scopes[step.new] = answer.value
        bill_in_full(run)
        spend_until_refused(run)
    except CapsoundError:  # what the implementation has come to is no state that can be driven
        return None
    finally:
        run.drop()
    return run


def replay_race(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Run the schedule of a token of two operations at once."""
    *before, one, two = [Step(*step) for step in request["program"]]
    handler = request["how"] == "handlers"
    found, count = again(adapter, before, one, two, request["place"], handler=handler)
    if found is not None:
        _say_race(adapter, found, voice)
    voice.say("schedules", job=request["how"], schedules=count)


def race_handlers(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """One operation inside another, as in a signal handler."""
    if not opens(adapter, voice):
        return
    count = 0
    most = request["schedules"]
    until = _until(request)
    for before, one, two in pairs(adapter):
        if time.monotonic() > until:
            voice.say("cut", job="handlers", schedules=count, late=True)
            break
        if most is not None and count >= most:
            voice.say("cut", job="handlers", schedules=count)
            break
        voice.doing(f"handlers {one.do} {two.do}")
        found, schedules = interrupt(adapter, before, one, two, most=min(400, (most or 400_000) - count))
        count += schedules
        if found is not None:
            _say_race(adapter, found, voice)
            break
    voice.say("schedules", job="handlers", schedules=count)
