"""A sound twin: the same scenario under a design that keeps what was broken, led through the same steps.

Which design that is, is not looked up: each of ``CURES`` is solved, and the first that is proved is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from capsound.disciplines import get_discipline
from capsound.errors import CapsoundError
from capsound.events import event_to_dict
from capsound.machine import Config, Env, Machine, fire, initial
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import (
    INTS,
    Choice,
    ImpossibleAmount,
    NeedDraw,
    Schedule,
    Script,
    Trace,
    possible,
    run_schedule,
)
from capsound.verdict import Verdict
from capsound_proofs.solve import Outcome, PropertyResult, solve

CURES = ("reserve-settle", "stream-extend")
"""The disciplines that are tried, in this order."""

MORE = 40
"""How many steps a twin goes on at most when the steps of the counterexample are over."""


def with_twins(outcome: Outcome, data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an outcome with a twin beside each counterexample that has one."""
    broken = [result for result in outcome.results if result.trace is not None]
    if not broken or outcome.machine.alone:
        return data
    cured = next(_cures(outcome.scenario, outcome.machine, [result.property for result in broken]), None)
    if cured is None:
        return data
    told = {result.property.value: _twin(cured, outcome.machine, result) for result in broken}
    results = [
        {**one, "twin": told[one["property"]]} if told.get(one["property"]) is not None else one
        for one in data["properties"]
    ]
    return {**data, "properties": results}


def _cures(scenario: Scenario, machine: Machine, broken: Sequence[Property]) -> Iterator[Outcome]:
    """Yield the outcome of each design that keeps everything that is broken, without breaking anything else."""
    for name in CURES:
        if get_discipline(name).rules == machine.discipline.rules:
            continue
        try:
            outcome = solve(replace(scenario, discipline=name, table=None))
        except CapsoundError:  # it does not fit this scenario
            continue
        verdicts = {result.property: result.verdict for result in outcome.results}
        kept = all(verdicts.get(prop) is Verdict.SOUND for prop in broken)
        if kept and outcome.verdict is Verdict.SOUND and _alike(outcome.machine, machine):
            yield outcome


def _alike(one: Machine, other: Machine) -> bool:
    return [process.name for process in one.processes] == [process.name for process in other.processes]


def _twin(cured: Outcome, broken: Machine, result: PropertyResult) -> dict[str, Any] | None:
    """Return the run of the twin as data; None where it cannot be led through these steps."""
    assert result.trace is not None
    schedule = result.trace.schedule
    try:
        followed = list(follow(cured.machine, schedule))
        trace = run_schedule(cured.machine, Schedule(schedule.cap, tuple(c for c in followed if c is not None)))
    except CapsoundError:
        return None
    proved = next(one for one in cured.results if one.property is result.property)
    return {
        "discipline": cured.machine.discipline.name,
        "blocks": str(cured.machine.discipline),
        "verdict": proved.verdict.value,
        "bound": proved.bound,
        "token": trace.schedule.token,
        "opening": [event_to_dict(event) for event in trace.opening],
        "steps": list(_steps(schedule, broken, followed, trace)),
    }


def _steps(schedule: Schedule, broken: Machine, followed: Sequence[Choice | None], trace: Trace) -> Iterator[Any]:
    done = iter(trace.steps)
    for number, choice in enumerate(followed):
        if choice is None:
            actor = broken.processes[schedule.choices[number].process].name
            yield {"step": number + 1, "actor": actor, "action": "nothing left to do", "events": []}
            continue
        step = next(done)
        events = [event_to_dict(event) for event in step.events]
        yield {"step": number + 1, "actor": step.actor, "action": step.action, "events": events}


def follow(machine: Machine, schedule: Schedule) -> Iterator[Choice | None]:
    """Yield what the same agents do in the same order; None where one of them cannot move. Then they come to an end.

    The environment chooses for each agent the amounts that it chose before, as far as they are possible.
    """
    config = initial(machine, schedule.cap)
    kept: dict[int, list[int]] = {}
    for choice in schedule.choices:
        kept.setdefault(choice.process, []).extend(choice.draws)
    for number in range(len(schedule.choices) + MORE):
        if number < len(schedule.choices):
            wanted = [(schedule.choices[number].process, schedule.choices[number].kind)]
        else:
            wanted = [((number + n) % len(machine.processes), "run") for n in range(len(machine.processes))]
        for process, kind in wanted:
            step = _step(machine, config, process, kind, kept.setdefault(process, []))
            if step is not None:
                break
        else:
            step = None
        if step is None:
            if number >= len(schedule.choices):
                return
            yield None
            continue
        yield step
        config = _after(machine, config, step)


def _step(machine: Machine, config: Config, process: int, kind: str, draws: list[int]) -> Choice | None:
    chosen: list[int] = []
    while True:
        choice = Choice(process, kind, tuple(chosen))
        try:
            return choice if possible(machine, config, choice) is not None else None
        except NeedDraw as need:
            amount = draws.pop(0) if draws else need.lo
            chosen.append(max(need.lo, amount if need.hi is None else min(amount, need.hi)))
        except ImpossibleAmount:
            return None


def _after(machine: Machine, config: Config, choice: Choice) -> Config:
    branch = possible(machine, config, choice)
    assert branch is not None
    after = config.fork(machine, branch)
    fire(machine, after, branch, Env(INTS, Script(choice.draws)))
    return after
