"""Bills that fit: where all calls together cost no more than the cap, no schedule can overshoot it."""

from __future__ import annotations

from capsound.costs import CallCosts, costs_of
from capsound.properties import Property
from capsound.scenario import Interval, Plain, Stream
from capsound.verdict import Verdict
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.ranges import cost_ranges


def prove_by_sum(problem: Problem) -> None:
    """Prove the cap where the largest bills of all calls, all admitted, fit under it together."""
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
