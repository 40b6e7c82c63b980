"""The bounded search: the shortest counterexample to a property, believed when the monitor has seen it too."""

from __future__ import annotations

import time
from dataclasses import replace

from capsound.anomalies import ANOMALIES
from capsound.disciplines import get_discipline
from capsound.errors import Disagreement
from capsound.machine import Machine, compile_scenario
from capsound.monitor import Report, fold
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import Schedule, Trace, run_schedule
from capsound.verdict import Verdict
from capsound_proofs.bmc import Lemma, Searched, shortest
from capsound_proofs.lemmas import lemma_of
from capsound_proofs.numeric import numbers_invariant
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem


def search_for(problem: Problem, prop: Property) -> None:
    """Search for the shortest counterexample, and believe it only when the monitor has seen it too."""
    scenario = problem.scenario
    began = time.monotonic()
    original = problem.machine.scenario

    def machine_for(agents: int) -> Machine:
        return compile_scenario(original, limit=agents)

    def lemma_for(machine: Machine) -> Lemma | None:
        invariant = problem.numbers
        if invariant is None:
            return None
        mine = invariant.abstraction.machine
        if [a.name for a in mine.accounts] != [a.name for a in machine.accounts]:
            invariant = numbers_invariant(scenario, machine)
        return lemma_of(scenario, invariant, machine)

    most = max((agents.count or scenario.search.steps) for agents in scenario.agents)

    def agents_at(steps: int) -> int:
        # For progress and width an agent matters from its first step on; for a bill once it has sent.
        everybody = prop in (Property.PROGRESS, Property.WIDTH)
        return min(most, steps if everybody else needed_agents(scenario, steps))

    found = shortest(
        machine_for,
        prop,
        max_steps=scenario.search.steps,
        seconds=scenario.search.seconds,
        lemma_for=lemma_for,
        agents_at=agents_at,
        progress=lambda steps: problem.progress(f"{prop.value}: runs of {steps} steps"),
    )
    if isinstance(found, Searched):
        problem.results[prop] = _not_found(problem, prop, found, time.monotonic() - began)
        return
    schedule = renumbered(found.schedule, found.machine, problem.machine)
    trace, report = believe(problem.machine, schedule, prop)
    anomaly = next((f.anomaly for f in report.findings if ANOMALIES[f.anomaly].breaks is prop), "")
    steps = len(schedule.choices)
    problem.results[prop] = PropertyResult(
        prop,
        Verdict.VIOLATED,
        f"no schedule of fewer than {steps} step{'s' * (steps != 1)} breaks it",
        "bounded search, replayed by the monitor",
        time.monotonic() - began,
        trace=trace,
        report=report,
        anomaly=anomaly,
    )


def needed_agents(scenario: Scenario, steps: int) -> int:
    """Return how many agents can matter for a bill in so many steps: those that get as far as sending."""
    return max(1, steps // (get_discipline(scenario.discipline).sending + 1))


def renumbered(schedule: Schedule, here: Machine, there: Machine) -> Schedule:
    """Return the schedule with its processes numbered as in another machine of the same scenario."""
    index = {process.identity: number for number, process in enumerate(there.processes)}
    choices = (replace(c, process=index[here.processes[c.process].identity]) for c in schedule.choices)
    return Schedule(schedule.cap, tuple(choices))


def believe(machine: Machine, schedule: Schedule, prop: Property) -> tuple[Trace, Report]:
    """Return the run of a schedule and what the monitor says of it.

    Raises ``Disagreement`` when the monitor does not find the property broken (status 70).
    """
    trace = run_schedule(machine, schedule)
    report = fold(trace.events)
    if prop is not Property.WIDTH and report.verdicts[prop] is not Verdict.VIOLATED:
        raise Disagreement(
            f"the solver found a run that breaks {prop.value!r}, and the monitor does not",
            cause=f"schedule {schedule.token}",
            hint="please report the scenario: the encoding or the monitor is wrong",
        )
    return trace, report


def _not_found(problem: Problem, prop: Property, searched: Searched, seconds: float) -> PropertyResult:
    agents = sum(1 for p in problem.machine.processes if p.is_agent)
    if searched.complete:
        calls = sum(1 for p in problem.machine.processes for place in p.places if place.draws_size)
        return PropertyResult(
            prop,
            Verdict.SOUND,
            f"complete: every run of {agents} agents and {calls} calls, up to {searched.steps - 1} steps",
            "bounded search to the end of every run",
            seconds,
        )
    why = "time ran out" if searched.timed_out else "the bound on steps was reached"
    return PropertyResult(
        prop,
        Verdict.UNKNOWN,
        f"no counterexample of up to {searched.steps} steps; {why}",
        "bounded search",
        seconds,
    )
