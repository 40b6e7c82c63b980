"""A smaller copy of a scenario that is not decided: fewer agents with fewer calls, under the same caps and grants.

What breaks in the copy breaks in the whole, where the other agents stand still and nobody makes a further call: every
step of the copy is a step of the whole. That is not argued but tried: the run is executed on the whole machine, and the
monitor has to find the property broken. (Where slices are closed after the last call, it may not be possible there.)

What holds in the copy is not known to hold in the whole. It is said for what it is: so many agents and calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from capsound.machine import TOLD_APART, Machine, compile_scenario
from capsound.predicates import violates
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import INTS, Schedule
from capsound.verdict import Verdict
from capsound_proofs.outcome import Outcome
from capsound_proofs.playing import played
from capsound_proofs.problem import Problem
from capsound_proofs.search import population, renumbered, violated_by

AGENTS = 3
CALLS = 2
"""How many agents an entry of the copy has at most, and how many calls each of them makes."""

OF_STATES = (Property.CAP, Property.SLICE, Property.OVERRUN, Property.TRUTH, Property.CONSERVATION)
"""Properties that a state breaks, whatever others could still do."""


def smaller(scenario: Scenario) -> Scenario | None:
    """Return the copy, None where it would be the whole."""
    agents = tuple(
        replace(a, count=AGENTS if a.count is None else min(a.count, AGENTS), calls=min(a.calls, CALLS))
        for a in scenario.agents
    )
    return None if agents == scenario.agents else replace(scenario, agents=agents)


def look_at_smaller(problem: Problem, solve: Callable[[Scenario], Outcome]) -> None:
    """Ask a smaller copy about each property that is unknown: refute it if that transfers, else say what was found."""
    unknown = [p for p in OF_STATES if p in problem.results and problem.results[p].verdict is Verdict.UNKNOWN]
    copy = smaller(problem.scenario) if unknown and not problem.ceiling.over() else None
    if copy is None:
        return
    problem.progress("a smaller copy")
    seconds = problem.ceiling.left()
    search = copy.search if seconds is None else replace(copy.search, seconds=max(1, int(seconds)))
    outcome = solve(replace(copy, properties=tuple(unknown), search=search))
    for prop in unknown:
        found, here = outcome.result(prop), problem.results[prop]
        if found.verdict is Verdict.VIOLATED and found.trace is not None:
            schedule = transferred(found.trace.schedule, outcome.machine, problem.machine, prop)
            if schedule is not None:
                result = violated_by(problem.machine, schedule, prop, "found in a smaller copy", here.seconds)
                steps = len(schedule.choices)
                bound = f"a run of {steps} steps breaks it: not always a shortest one"
                problem.results[prop] = replace(result, bound=bound)
        elif found.verdict is Verdict.SOUND:
            bound = f"{here.bound}; holds for {_size(copy)}, not decided for {_size(problem.scenario)}"
            problem.results[prop] = replace(here, bound=bound)


def transferred(schedule: Schedule, copy: Machine, whole: Machine, prop: Property) -> Schedule | None:
    """Return the run of the copy as a run of the whole, None where it is none or does not break the property there."""
    moved = renumbered(schedule, copy, whole)
    config, _ = played(whole, moved)
    return moved if config is not None and violates(whole, config, prop, INTS) is True else None


def _size(scenario: Scenario) -> str:
    if any(agents.count is None for agents in scenario.agents):
        return "any number of agents"
    agents = sum(entry.count or 0 for entry in scenario.agents)
    _, calls = population(compile_scenario(scenario, limit=TOLD_APART))
    if any((entry.count or 0) > TOLD_APART for entry in scenario.agents):
        return f"{agents} agents"
    return f"{agents} agents and {calls} calls"
