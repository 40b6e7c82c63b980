"""The largest overshoot of a scenario whose cap can be overshot: bounded by the invariant, attained by runs."""

from __future__ import annotations

from capsound.costs import costs_of
from capsound.machine import Machine, compile_scenario
from capsound.properties import Property
from capsound.scenario import Stream
from capsound.schedule import Schedule
from capsound.verdict import Verdict
from capsound_proofs.bmc import most_overshoot
from capsound_proofs.lemmas import lemma_of
from capsound_proofs.problem import Problem
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.search import closes_slices, needed_agents
from capsound_proofs.worst import MANY_AGENTS, Worst, attained, upper_bound


def largest_overshoot(problem: Problem) -> Worst | None:
    """Return the largest overshoot, where the cap can be overshot."""
    result = problem.results.get(Property.CAP)
    if result is None or result.verdict is not Verdict.VIOLATED or result.trace is None:
        return None
    problem.progress("largest overshoot")
    cap = result.trace.schedule.cap
    assert result.report is not None
    least, run = max(result.report.overshoot.values()), result.trace.schedule
    scenario = problem.machine.scenario
    if _no_bound(problem):
        return Worst(least, None, run)
    most: int | None = None
    if problem.numbers is not None and problem.numbers.finished:
        most = upper_bound(problem.numbers, cap, problem.ceiling)
    whole = _whole_machine(problem)
    if whole is not None and not any(agents.count is None for agents in scenario.agents):
        better, longer = attained(whole, cap, result.trace.schedule)
        if better > least and longer is not None:
            least, run = better, longer
    if most is None or least < most:
        more = _more(problem, cap, least, most)
        if more is not None:
            least, run = more
    return Worst(least, most, run)


def _more(problem: Problem, cap: int, least: int, most: int | None) -> tuple[int, Schedule] | None:
    """Search for a run with more overshoot than is known, of a few more steps than the shortest."""
    original = problem.machine.scenario
    agents = [a.count for a in original.agents]
    found = problem.results[Property.CAP].trace
    steps = len(found.schedule.choices) if found is not None else 1
    if steps > original.search.steps:
        return None
    everybody = max(c or steps for c in agents)
    limit = everybody if closes_slices(original) else min(needed_agents(original, steps + 2), everybody)
    machine = compile_scenario(original, limit=limit)
    lemma = None
    if problem.numbers is not None and len(problem.numbers.abstraction.machine.accounts) == len(machine.accounts):
        lemma = lemma_of(problem.scenario, problem.numbers, machine)
    return most_overshoot(machine, cap=cap, least=least, most=most, steps=steps, lemma=lemma, ceiling=problem.ceiling)


def _whole_machine(problem: Problem) -> Machine | None:
    """Return the machine with every agent that the scenario names, if that many can be run."""
    if sum(agents.count or 1 for agents in problem.scenario.agents) > MANY_AGENTS:
        return None
    return compile_scenario(problem.machine.scenario)


def _no_bound(problem: Problem) -> bool:
    """Return whether a single bill can be as large as you like."""
    for agents in problem.machine.scenario.agents:
        for number in range(agents.calls):
            costs = costs_of(problem.machine.scenario, agents.call, number)
            free = not isinstance(costs.cost, Stream) and not costs.bounds.within_hold
            if free and cost_ranges(costs)[1].hi is None and costs.bounds.shortfall is None:
                return True
    return False
