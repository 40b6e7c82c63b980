"""What a verdict is worth: ``useless`` where no call is ever admitted, ``uninformative`` where the cap cannot bind."""

from __future__ import annotations

import z3

from capsound.costs import CallCosts, costs_of
from capsound.scenario import Interval, Plain, Stream
from capsound_proofs.numeric import numbers_invariant
from capsound_proofs.problem import MAX_ACCOUNTS, Problem
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.worst import admits


def flags_of(problem: Problem) -> tuple[str, ...]:
    """Return ``useless`` where no call can ever be admitted, ``uninformative`` where the cap cannot bind."""
    flags = []
    if not _admits(problem):
        flags.append("useless")
    if _cannot_overshoot(problem):
        flags.append("uninformative")
    return tuple(flags)


def _admits(problem: Problem) -> bool:
    """Return whether some run admits a call: the vacuity check of every proof."""
    for result in problem.results.values():
        if result.report is not None and result.report.exercise.admitted:
            return True
    machine = problem.machine
    cap = machine.cap.hi if machine.cap.hi is not None else max(machine.cap.lo, 10**6)
    if admits(machine, cap):
        return True
    if problem.numbers is None and len(machine.accounts) <= MAX_ACCOUNTS:
        problem.numbers = numbers_invariant(problem.scenario, machine)
    if problem.numbers is None or not problem.numbers.finished:
        return True
    spots = problem.numbers.abstraction.spots
    return not problem.numbers.implies(z3.And(*[s.count == 0 for s in spots.values()])) if spots else False


def _cannot_overshoot(problem: Problem) -> bool:
    """Return whether the bills of all calls together, all admitted, stay within the cap."""
    scenario = problem.machine.scenario
    if scenario.faults.timeout or any(a.count is None or a.program for a in scenario.agents):
        return False
    total = 0
    for agents in scenario.agents:
        for number in range(agents.calls):
            top = _largest_bill(costs_of(scenario, agents.call, number))
            if top is None or agents.count is None:
                return False
            total += top * agents.count
    return total <= scenario.cap.lo


def _largest_bill(costs: CallCosts) -> int | None:
    match costs.cost:
        case Stream(chunk=chunk, chunks=chunks):
            return None if chunk.hi is None else chunk.hi * (chunks + 1)
        case Plain(estimate=Interval(hi=hi)) if costs.bounds.within_hold:
            bill = cost_ranges(costs)[1].hi
            return hi if bill is None else bill if hi is None else min(hi, bill)
        case _:
            return cost_ranges(costs)[1].hi
