"""The largest overshoot of a scenario whose cap can be overshot: bounded by the invariant, attained by runs."""

from __future__ import annotations

from capsound.costs import costs_of
from capsound.explorer import Exploration
from capsound.machine import TOLD_APART, Machine, compile_scenario
from capsound.properties import Property
from capsound.scenario import MONEY, Stream
from capsound.schedule import Schedule
from capsound.sliding import bucket_of
from capsound.verdict import Verdict
from capsound_proofs.accounts import bounded_by_account
from capsound_proofs.bmc import most_overshoot
from capsound_proofs.fits import largest_sums
from capsound_proofs.inflight import bound_overshoot, in_flight_invariant, in_flight_merged
from capsound_proofs.invariants import Invariant
from capsound_proofs.lemmas import lemma_of, lemma_of_each
from capsound_proofs.numeric import numbers_of
from capsound_proofs.problem import Problem
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.search import closes_slices, needed_agents
from capsound_proofs.worst import MANY_AGENTS, Worst, attained, upper_bound


def largest_overshoot(problem: Problem, explored: Exploration | None = None) -> Worst | None:
    """Return the largest overshoot, where the cap can be overshot; ``explored`` are the states of a small scope."""
    result = problem.results.get(Property.CAP)
    if result is None or result.verdict is not Verdict.VIOLATED or result.trace is None:
        return None
    problem.progress("largest overshoot")
    cap = result.trace.schedule.cap
    assert result.report is not None
    machine = problem.machine
    in_money = {info.name for info in machine.accounts if info.dimension == MONEY}
    least = max((over for name, over in result.report.overshoot.items() if name in in_money), default=0)
    run = result.trace.schedule
    if machine.alone and not least:
        return None  # of tokens or requests: what was found is told, and no largest is looked for
    scenario = problem.machine.scenario
    if _no_bound(problem):
        return Worst(least, None, run)
    most = _together(problem, cap)
    if machine.alone and explored is not None and explored.complete and not explored.cut_amounts:
        # No sum says how often a window is reset, or what another ceiling refuses: all states do.
        most = explored.worst_overshoot if most is None else min(most, explored.worst_overshoot)
    if problem.numbers is not None:
        most = _from_numbers(problem, cap, most)
    if problem.bounded:
        most = _by_account(problem, cap, most)
    if machine.slides and bucket_of(machine):
        return Worst(least, most, run)  # not every run of the machine has moments
    whole = _whole_machine(problem)
    if whole is not None and not any(agents.count is None for agents in scenario.agents):
        better, longer = attained(whole, cap, result.trace.schedule, most)
        if better > least and longer is not None:
            least, run = better, longer
    if most is None or least < most:
        most = _by_account(problem, cap, most)
    if problem.numbers is None and (most is None or least < most):
        most = _from_numbers(problem, cap, most)
    if most is None or least < most:
        most = _in_flight(problem, cap, most, in_flight_merged(problem))
    if most is None or least < most:
        most = _in_flight(problem, cap, most, in_flight_invariant(problem))
    if most is None or least < most:
        more = _more(problem, cap, least, most)
        if more is not None:
            least, run = more
    return Worst(least, most, run)


def _together(problem: Problem, cap: int) -> int | None:
    """Return by how much all calls together exceed the cap: of several ceilings in money, that of which it is most."""
    over: list[int] = []
    for info, (most, limit) in zip(problem.machine.accounts, largest_sums(problem), strict=False):
        if info.dimension != MONEY:
            continue
        if most is None:
            return None
        over.append(most - (limit if over else cap))
    return max(0, *over)


def _from_numbers(problem: Problem, cap: int, known: int | None) -> int | None:
    """Return the bound that the proof with the numbers leaves room for, or the known one if that is smaller."""
    numbers = numbers_of(problem)
    most = upper_bound(numbers, cap, problem.ceiling) if numbers is not None and numbers.finished else None
    return most if known is None else known if most is None else min(known, most)


def _by_account(problem: Problem, cap: int, known: int | None) -> int | None:
    """Return the bound from how far each account by itself can be exceeded, or the known one."""
    bounded = bounded_by_account(problem, cap)
    if bounded is None:
        return known
    return bounded.most if known is None else min(known, bounded.most)


def _in_flight(problem: Problem, cap: int, known: int | None, invariant: Invariant | None) -> int | None:
    """Return the bound from what agents can have in flight, once the second solver has agreed, or the known one."""
    if invariant is None:
        return known
    most = upper_bound(invariant, cap, problem.ceiling)
    if most is None or (known is not None and known <= most):
        return known
    return most if bound_overshoot(problem, invariant, most, cap) is not None else known


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
    known = problem.relations.get(limit) if original.cap.fixed else None
    machine = compile_scenario(original, limit=limit) if known is None else known.machine
    lemma = lemma_of_each(problem.scenario, problem.each, machine) if known is None and problem.each else None
    if (
        known is None
        and problem.numbers is not None
        and len(problem.numbers.abstraction.machine.accounts) == len(machine.accounts)
    ):
        lemma = lemma_of(problem.scenario, problem.numbers, machine)
    return most_overshoot(
        machine,
        cap=cap,
        least=least,
        most=most,
        steps=steps,
        lemma=lemma,
        ceiling=problem.ceiling,
        relation=known,
    )


def _whole_machine(problem: Problem) -> Machine | None:
    """Return the machine with every agent that the scenario names, if that many can be run."""
    if sum(agents.count or 1 for agents in problem.scenario.agents) > MANY_AGENTS:
        return None
    if all(agents.count is not None and agents.count <= TOLD_APART for agents in problem.scenario.agents):
        return problem.machine  # which has every agent already
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
