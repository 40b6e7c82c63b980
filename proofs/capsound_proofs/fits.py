"""Bills that fit: where all calls together cost no more than the cap, no schedule can overshoot it."""

from __future__ import annotations

from capsound.costs import CallCosts, costs_of
from capsound.properties import Property
from capsound.scenario import Interval, Plain, Scenario, Stream
from capsound.verdict import Verdict
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.ranges import cost_ranges


def prove_by_sum(problem: Problem) -> None:
    """Prove the cap, and the slices, where the largest bills of all calls, all admitted, fit under them together."""
    if Property.SLICE in problem.undecided and _slices_kept(problem):
        problem.results[Property.SLICE] = PropertyResult(
            Property.SLICE,
            Verdict.SOUND,
            "all calls on each slice together fit into what it is granted, in any order",
            "the sum of the largest bills",
            0.0,
        )
    most = largest_sum(problem)
    cap = problem.machine.cap.lo
    if Property.CAP in problem.undecided and most is not None and most <= cap:
        problem.results[Property.CAP] = PropertyResult(
            Property.CAP,
            Verdict.SOUND,
            f"all calls together are billed at most {most} of the cap {problem.machine.cap}, in any order",
            "the sum of the largest bills",
            0.0,
        )


def _slices_kept(problem: Problem) -> bool:
    """Return whether no slice can be overshot: its calls fit, and a slice that is refused admits nothing that costs.

    A slice that gives back what it has not spent is left to the other ways of deciding: then less must be enough.
    """
    discipline = problem.machine.discipline
    guarded = all(step.guard is not None for block in discipline.blocks for step in block if "admits" in step.tags)
    programs = any(agents.program for agents in problem.machine.scenario.agents)
    bounded = problem.scenario.assume.a1 is True and not problem.machine.scenario.faults.timeout
    return guarded and bounded and not programs and not discipline.close and slices_fit(problem.machine.scenario)


def slices_fit(scenario: Scenario) -> bool:
    """Return whether every slice is large enough for all calls that are made on it."""
    parents = {item.name: item.parent for item in scenario.slices}
    room = {item.name: item.grant.lo for item in scenario.slices}
    for agents in scenario.agents:
        tops = [largest_bill(costs_of(scenario, agents.call, number)) for number in range(agents.calls)]
        each = sum(top for top in tops if top is not None)
        if agents.count is None or None in tops or (agents.own_slice is not None and each > agents.own_slice.lo):
            return False
        account = agents.account
        while account in room:
            room[account] -= each * agents.count
            account = parents[account]
    return all(left >= 0 for left in room.values())


def largest_sum(problem: Problem) -> int | None:
    """Return what all calls together can be billed at most, None where there is no bound."""
    scenario = problem.machine.scenario
    if scenario.faults.timeout or any(a.count is None or a.program for a in scenario.agents):
        return None
    total = 0
    for agents in scenario.agents:
        for number in range(agents.calls):
            top = largest_bill(costs_of(scenario, agents.call, number))
            if top is None or agents.count is None:
                return None
            total += top * agents.count
    return total


def largest_bill(costs: CallCosts) -> int | None:
    """Return what one call can be billed at most, None where there is no bound."""
    match costs.cost:
        case Stream(chunk=chunk, chunks=chunks):
            return None if chunk.hi is None else chunk.hi * (chunks + 1)
        case Plain(estimate=Interval(hi=hi)) if costs.bounds.within_hold:
            bill = cost_ranges(costs)[1].hi
            return hi if bill is None else bill if hi is None else min(hi, bill)
        case _:
            return cost_ranges(costs)[1].hi
