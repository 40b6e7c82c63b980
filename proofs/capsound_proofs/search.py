"""The bounded search: the shortest counterexample to a property, believed when the monitor has seen it too."""

from __future__ import annotations

import time
from dataclasses import replace

from capsound.anomalies import ANOMALIES
from capsound.errors import Disagreement
from capsound.judged import judge
from capsound.machine import TOLD_APART, Machine, compile_scenario, discipline_of
from capsound.properties import Property
from capsound.report import Report
from capsound.scenario import Plain, Scenario, Search
from capsound.schedule import Schedule, Trace, run_schedule
from capsound.verdict import Verdict
from capsound_proofs.accounts import bounded_by_account, most_of_owners
from capsound_proofs.bmc import SEARCH, Found, Searched, shortest
from capsound_proofs.distance import admits_by_balance, steps_away
from capsound_proofs.lemmas import lemma_of, lemma_of_each
from capsound_proofs.numeric import numbers_invariant, numbers_of
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.planning import can_be_planned, plan_of, planned_run
from capsound_proofs.playing import LARGE, first_breaks, shortest_played
from capsound_proofs.problem import Problem
from capsound_proofs.relation import Lemma
from capsound_proofs.worst import MANY_AGENTS

SHORTER = 1_000_000
"""The work to find a run that is shorter than one that was played."""


def search_for(problem: Problem, prop: Property, work: int = SEARCH) -> None:
    """Search for the shortest counterexample, and believe it only when the monitor has seen it too."""
    scenario = problem.scenario
    began = time.monotonic()
    original = problem.machine.scenario

    def machine_for(agents: int) -> Machine:
        return compile_scenario(original, limit=agents)

    def lemma_for(machine: Machine) -> Lemma | None:
        invariant = problem.numbers
        if problem.each:
            return lemma_of_each(scenario, problem.each, machine)
        if invariant is None:
            return None
        mine = invariant.abstraction.machine
        if _account_owners(mine) != _account_owners(machine):
            invariant = numbers_invariant(scenario, machine, problem.ceiling)
        return lemma_of(scenario, invariant, machine)

    most = _most_agents(scenario)
    all_told = all(agents.count is not None and agents.count <= TOLD_APART for agents in scenario.agents)

    def agents_at(steps: int) -> int:
        return _agents_at(problem, prop, steps)

    away = _away(problem, prop)
    if away > scenario.search.steps:
        if away > Search().steps:
            problem.gave_up.add(prop)
        problem.results[prop] = _not_found(problem, prop, Searched(0, problem.machine), 0.0, away)
        return
    run = _played(problem, prop) if _large(problem, prop, away) else None
    if run is not None:
        if len(run.choices) == away:  # none is shorter
            seconds = time.monotonic() - began
            problem.results[prop] = violated_by(problem.machine, run, prop, "played", seconds)
            return
        work = min(work, SHORTER)

    def search() -> Found | Searched:
        return shortest(
            machine_for,
            prop,
            max_steps=scenario.search.steps,
            agents_at=agents_at,
            everybody=most if all_told else None,
            lemma_for=lemma_for,
            progress=lambda steps: problem.progress(f"{prop.value}: runs of {steps} steps"),
            ceiling=problem.ceiling,
            work=work,
            away=away,
            relations=problem.relations,
            others=problem.found,
        )

    found = search()
    gave_up = isinstance(found, Searched) and found.gave_up and run is not None and problem.numbers is None
    if gave_up and numbers_of(problem) is not None:
        # What holds of every state was not proved before, since the played run breaks what is asked: now it is needed.
        problem.relations.clear()
        problem.found.clear()
        found = search()
    if isinstance(found, Searched):
        if found.gave_up:
            problem.gave_up.add(prop)
        problem.results[prop] = _not_found(problem, prop, found, time.monotonic() - began, away)
        return
    problem.found[prop] = found
    schedule = renumbered(found.schedule, found.machine, problem.machine)
    problem.results[prop] = violated_by(problem.machine, schedule, prop, "bounded search", time.monotonic() - began)


def break_at_once(problem: Problem) -> None:
    """Refute cap or slice by a run that is as short as any can be, before more is proved or searched.

    Played only where a search would be large: elsewhere the smallest amounts are found as well. What is undecided after
    this is proved with all accounts told apart, which is most of the work for a scenario of many slices.
    """
    scenario, machine = problem.scenario, problem.machine
    for prop in (Property.SLICE, Property.CAP):
        away = steps_away(machine, prop)
        if prop not in problem.undecided or not away:
            continue
        if prop is Property.SLICE and _one_is_all(problem):
            _break_alone(problem, away)
        if prop is Property.CAP:
            _break_as_planned(problem, away)
        if prop not in problem.undecided:
            continue
        began = time.monotonic()
        schedule: Schedule | None = None
        if away > max(scenario.search.steps, Search().steps):
            schedule = _played(problem, prop)
        elif away <= scenario.search.steps and _large(problem, prop, away):
            schedule = shortest_played(machine, machine.cap.lo, prop, away)
            if schedule is None:
                # Played in any case before a search: now it says as well that a proof would be in vain.
                _played(problem, prop)
        if schedule is not None and len(schedule.choices) == away:
            problem.results[prop] = violated_by(machine, schedule, prop, "played", time.monotonic() - began)


def _break_alone(problem: Problem, away: int) -> None:
    """Refute ``slice`` by a shortest run of one agent with a slice of its own, where the search for it is small."""
    scenario = problem.machine.scenario
    if away > scenario.search.steps or _large(problem, Property.SLICE, away):
        return
    began = time.monotonic()
    found = shortest(
        lambda agents: compile_scenario(scenario, limit=agents),
        Property.SLICE,
        max_steps=scenario.search.steps,
        agents_at=lambda _: 1,
        everybody=None,
        ceiling=problem.ceiling,
        work=SHORTER,
        away=away,
    )
    if isinstance(found, Found):
        schedule = renumbered(found.schedule, found.machine, problem.machine)
        seconds = time.monotonic() - began
        problem.results[Property.SLICE] = violated_by(
            problem.machine, schedule, Property.SLICE, "bounded search", seconds
        )


def _break_as_planned(problem: Problem, away: int) -> None:
    """Refute the cap by a run of as few steps as what each slice is billed at most leaves it, if one is played."""
    scenario, machine = problem.scenario, problem.machine
    agents = sum(agents.count or 0 for agents in scenario.agents)
    if not any(a.own_slice is not None for a in scenario.agents) or agents == 1 or not can_be_planned(machine):
        return
    began = time.monotonic()
    bounded = bounded_by_account(problem, scenario.cap.lo)
    plan = plan_of(machine, most_of_owners(bounded.accounts)) if bounded is not None and bounded.most else None
    if plan is None:
        return
    problem.planned = plan.steps
    # Who asks for few steps is told what is known of few.
    asked = plan.steps <= scenario.search.steps or plan.steps > max(scenario.search.steps, Search().steps)
    schedule = planned_run(machine, plan) if plan.steps >= away and asked else None
    if schedule is not None:
        problem.results[Property.CAP] = violated_by(machine, schedule, Property.CAP, "played", time.monotonic() - began)


def _away(problem: Problem, prop: Property) -> int:
    """Return how many steps a run that breaks a property takes at least, 0 where nothing is known."""
    counted = steps_away(problem.machine, prop) or 0
    return max(counted, problem.planned) if prop is Property.CAP else counted


def _large(problem: Problem, prop: Property, away: int) -> bool:
    """Return whether a search for a run of at least ``away`` steps would be large."""
    if not away:
        return False
    machine = compile_scenario(problem.machine.scenario, limit=_agents_at(problem, prop, away))
    return sum(1 for _ in machine.branches()) * away > LARGE


def _most_agents(scenario: Scenario) -> int:
    counts = [TOLD_APART if agents.count is None else agents.count for agents in scenario.agents]
    return min(max(counts), TOLD_APART)


def _agents_at(problem: Problem, prop: Property, steps: int) -> int:
    """Return how many agents of an entry can matter in so many steps."""
    scenario = problem.scenario
    most = _most_agents(scenario)
    if closes_slices(scenario):
        return most
    if prop is Property.SLICE and _one_is_all(problem):
        return 1
    # For progress and width an agent matters from its first step on, and so does one that may leave a hold behind; for
    # a bill it matters once it has sent.
    moving = prop in (Property.PROGRESS, Property.WIDTH) or (problem.machine.alone and prop is not Property.CAP)
    moving = moving or (prop is Property.CONSERVATION and problem.machine.discipline.may_keep_holds)
    return min(most, steps if moving else needed_agents(scenario, steps))


def _one_is_all(problem: Problem) -> bool:
    """Return whether a slice is broken by one agent, if it is broken at all: each has a slice of its own.

    A run in which one agent breaks its slice is a run without the steps of the others as well: alone it is granted what
    it was, since that is no more than the cap. Unless its slice was refused: then nothing was admitted there.
    """
    scenario = problem.machine.scenario
    owners = all(a.own_slice is not None and not a.inherits and not a.program for a in scenario.agents)
    if not owners or scenario.slices or problem.machine.alone or not admits_by_balance(problem.machine.discipline):
        return False
    grants = [agents.own_slice.hi for agents in scenario.agents if agents.own_slice is not None]
    if any(grant is None or grant > scenario.cap.lo - scenario.spent for grant in grants):
        return False
    kinds = [scenario.call(agents.call).cost for agents in scenario.agents]
    return all(isinstance(cost, Plain) and cost.estimate.lo > 0 for cost in kinds)


def violated_by(machine: Machine, schedule: Schedule, prop: Property, method: str, seconds: float) -> PropertyResult:
    """Return the result for a property that a shortest schedule breaks, once the monitor has seen it broken.

    It is unknown where nobody can say when its steps happen: where buckets are forgotten, and several of them.

    Raises ``Disagreement`` when the monitor has not.
    """
    steps = len(schedule.choices)
    if machine.slides and run_schedule(machine, schedule).moments is None:
        bound = f"a run of {steps} steps would break it, and no moments are found for the buckets in it"
        return PropertyResult(prop, Verdict.UNKNOWN, bound, method, seconds)
    trace, report = believe(machine, schedule, prop)
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
    """Refute cap or slice, where no search comes so far, by a run that is played over the brink."""
    machine = problem.machine
    for prop in (Property.CAP, Property.SLICE):
        if prop not in problem.gave_up or problem.results[prop].verdict is not Verdict.UNKNOWN:
            continue
        schedule = _played(problem, prop)
        if schedule is None:
            continue
        steps = len(schedule.choices)
        found = violated_by(machine, schedule, prop, "played", problem.results[prop].seconds)
        if steps > _away(problem, prop):
            found = replace(found, bound=f"a run of {steps} steps breaks it: not always a shortest one")
        problem.results[prop] = found


def _played(problem: Problem, prop: Property) -> Schedule | None:
    """Return the shortest run that is played over the brink and breaks the property, None for none."""
    if problem.played is None:
        problem.progress("playing to the brink")
        few = sum(agents.count or 1 for agents in problem.scenario.agents) <= MANY_AGENTS
        machine = problem.machine
        decided = [p for p, result in problem.results.items() if result.verdict is not Verdict.UNKNOWN]
        asked = [p for p in (Property.CAP, Property.SLICE) if p in problem.asked and p not in decided]
        away: dict[Property, int] = {prop: _away(problem, prop) for prop in asked}
        problem.played = first_breaks(machine, machine.cap.lo, asked, away) if few else {}
    return problem.played.get(prop)


def closes_slices(scenario: Scenario) -> bool:
    """Return whether something waits for agents to be done: with fewer of them it would happen too early.

    Slices that are closed, and agents that come after others.
    """
    return bool(scenario.slices and discipline_of(scenario).close) or any(agents.after for agents in scenario.agents)


def needed_agents(scenario: Scenario, steps: int) -> int:
    """Return how many agents can matter for a bill in so many steps: those that get as far as sending."""
    discipline = discipline_of(scenario)
    if discipline.frees_what_others_took:
        return max(1, steps)
    return max(1, steps // (discipline.sending + 1))


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
    report = judge(machine, trace)
    if prop is not Property.WIDTH and report.verdicts[prop] is not Verdict.VIOLATED:
        raise Disagreement(
            f"the solver found a run that breaks {prop.value!r}, and the monitor does not",
            cause=f"schedule {schedule.token}",
            hint="please report the scenario: the encoding or the monitor is wrong",
        )
    return trace, report


def _not_found(problem: Problem, prop: Property, searched: Searched, seconds: float, away: int) -> PropertyResult:
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
    if away > searched.steps + 1:
        what = "the cap" if prop is Property.CAP else "the grant of a slice"
        bound = f"no run of fewer than {away} steps can break it: {what} is that far away, and the search ends at "
        bound += f"{problem.scenario.search.steps}"
        if searched.steps:
            bound = f"searched to {searched.steps} steps; {what} is at least {away} away"
        return PropertyResult(prop, Verdict.UNKNOWN, bound, "counting", seconds)
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
