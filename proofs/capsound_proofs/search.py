"""The bounded search: the shortest counterexample to a property, believed when the monitor has seen it too."""

from __future__ import annotations

import time
from dataclasses import replace

from capsound.anomalies import ANOMALIES
from capsound.disciplines import get_discipline
from capsound.errors import Disagreement
from capsound.machine import TOLD_APART, Env, Machine, compile_scenario, fire, initial
from capsound.monitor import Report, fold
from capsound.predicates import violates
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import INTS, Schedule, Script, Trace, possible, run_schedule
from capsound.verdict import Verdict
from capsound_proofs.bmc import SEARCH, Searched, shortest
from capsound_proofs.lemmas import lemma_of
from capsound_proofs.numeric import numbers_invariant
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.unrolling import Lemma
from capsound_proofs.worst import attained


def search_for(problem: Problem, prop: Property, work: int = SEARCH) -> None:
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
        if _account_owners(mine) != _account_owners(machine):
            invariant = numbers_invariant(scenario, machine, problem.ceiling)
        return lemma_of(scenario, invariant, machine)

    counts = [TOLD_APART if agents.count is None else agents.count for agents in scenario.agents]
    most = min(max(counts), TOLD_APART)
    all_told = all(agents.count is not None and agents.count <= TOLD_APART for agents in scenario.agents)

    def agents_at(steps: int) -> int:
        if closes_slices(scenario):
            return most
        # For progress and width an agent matters from its first step on; for a bill once it has sent.
        moving = prop in (Property.PROGRESS, Property.WIDTH)
        return min(most, steps if moving else needed_agents(scenario, steps))

    found = shortest(
        machine_for,
        prop,
        max_steps=scenario.search.steps,
        agents_at=agents_at,
        everybody=most if all_told else None,
        lemma_for=lemma_for,
        progress=lambda steps: problem.progress(f"{prop.value}: runs of {steps} steps"),
        ceiling=problem.ceiling,
        work=work,
    )
    if isinstance(found, Searched):
        if found.gave_up:
            problem.gave_up.add(prop)
        problem.results[prop] = _not_found(problem, prop, found, time.monotonic() - began)
        return
    schedule = renumbered(found.schedule, found.machine, problem.machine)
    problem.results[prop] = violated_by(problem.machine, schedule, prop, "bounded search", time.monotonic() - began)


def violated_by(machine: Machine, schedule: Schedule, prop: Property, method: str, seconds: float) -> PropertyResult:
    """Return the result for a property that a shortest schedule breaks, once the monitor has seen it broken.

    Raises ``Disagreement`` when the monitor has not.
    """
    trace, report = believe(machine, schedule, prop)
    steps = len(schedule.choices)
    return PropertyResult(
        prop,
        Verdict.VIOLATED,
        f"no schedule of fewer than {steps} step{'s' * (steps != 1)} breaks it" if steps else "broken before any step",
        f"{method}, replayed by the monitor",
        seconds,
        trace=trace,
        report=report,
        anomaly=next((f.anomaly for f in report.findings if ANOMALIES[f.anomaly].breaks is prop), ""),
    )


def _account_owners(machine: Machine) -> list[tuple[tuple[bool, int, int], int]]:
    """Return who opens each account, in the order of the processes: the same for machines of the same accounts."""
    return [
        (process.identity, place.account)
        for process in sorted(machine.processes, key=lambda process: process.identity)
        for place in process.places
        if place.kind in ("delegate", "move")
    ]


def break_by_playing(problem: Problem) -> None:
    """Refute cap or slice, where the search gave up before its bound on steps, by a run played over the brink."""
    left = [
        prop
        for prop in (Property.CAP, Property.SLICE)
        if prop in problem.gave_up and problem.results[prop].verdict is Verdict.UNKNOWN
    ]
    machine = problem.machine
    run = attained(machine, machine.cap.lo, None)[1] if left else None
    if run is None:
        return
    for prop in left:
        config = initial(machine, run.cap)
        for steps, choice in enumerate(run.choices, start=1):
            branch = possible(machine, config, choice)
            assert branch is not None
            fire(machine, config, branch, Env(INTS, Script(choice.draws)))
            if violates(machine, config, prop, INTS):
                schedule = Schedule(run.cap, run.choices[:steps])
                found = violated_by(machine, schedule, prop, "played", problem.results[prop].seconds)
                bound = f"a run of {steps} steps breaks it: not always a shortest one"
                problem.results[prop] = replace(found, bound=bound)
                break


def closes_slices(scenario: Scenario) -> bool:
    """Return whether slices are closed when all who use them are done: with fewer agents they are closed too early."""
    return bool(scenario.slices and get_discipline(scenario.discipline).close)


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
    if searched.witness is not None:
        agents, calls = population(searched.machine)
        return PropertyResult(
            prop,
            Verdict.SOUND,
            f"complete: every run of {agents} agents and {calls} calls, up to {searched.steps} steps",
            "bounded search to the end of every run",
            seconds,
            longest=searched.steps,
        )
    return PropertyResult(
        prop,
        Verdict.UNKNOWN,
        f"no counterexample of up to {searched.steps} steps; {_why_no_further(problem, searched)}",
        "bounded search",
        seconds,
    )


def _why_no_further(problem: Problem, searched: Searched) -> str:
    if problem.ceiling.struck:
        return f"the {problem.ceiling.seconds:g} seconds allowed were over"
    return "the limit of work was reached" if searched.gave_up else "the bound on steps was reached"


def population(machine: Machine) -> tuple[int, int]:
    """Return how many agents a machine tells apart, and how many calls they make at most."""
    agents = sum(1 for process in machine.processes if process.is_agent)
    return agents, sum(1 for process in machine.processes for place in process.places if place.draws_size)
