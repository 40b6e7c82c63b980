"""Bills that fit: where all calls together cost no more than the cap, no schedule can overshoot it."""

from __future__ import annotations

from capsound.costs import costs_of, counted
from capsound.properties import Property
from capsound.scenario import MONEY, ROOT, Scenario
from capsound.verdict import Verdict
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.ranges import largest_bill


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
    sums, told = largest_sums(problem), problem.scenario.told
    most = sums[0][0]
    if most is not None and Property.CAP in problem.undecided and all(m is not None and m <= cap for m, cap in sums):
        spent = f", the {told(problem.scenario.spent)} already spent included" if problem.scenario.spent else ""
        bound = (
            f"all calls together are billed at most {told(most)} of the cap "
            f"{told(problem.machine.cap)}{spent}, in any order"
        )
        if len(sums) > 1:
            bound = f"all calls under each of {len(sums)} ceilings together fit into its cap, in any order"
        problem.results[Property.CAP] = PropertyResult(
            Property.CAP, Verdict.SOUND, bound, "the sum of the largest bills", 0.0
        )


def _slices_kept(problem: Problem) -> bool:
    """Return whether no slice can be overshot: its calls fit, and a slice that is refused admits nothing that costs.

    A slice that gives back what it has not spent is left to the other ways of deciding: then less must be enough.
    """
    discipline = problem.machine.discipline
    admitting = [step for block in discipline.blocks for step in block if "admits" in step.tags]
    guarded = discipline.turn == 1 and all("by-balance" in step.tags for step in admitting)
    programs = any(agents.program or agents.inherits for agents in problem.machine.scenario.agents)
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
    """Return what is billed at most in the end, what is already spent included, None where there is no bound.

    Of several ceilings that is what their root, which all calls count in, is billed.
    """
    return largest_sums(problem)[0][0]


def largest_sums(problem: Problem) -> list[tuple[int | None, int]]:
    """Return of each ceiling, and of a tree of slices in all, what is billed at most in the end, and its cap."""
    scenario, machine = problem.machine.scenario, problem.machine
    if not machine.alone:
        return [(_sum(scenario, ROOT, MONEY), machine.cap.lo)]
    return [(_sum(scenario, info.name, info.dimension), info.grant.lo) for info in machine.accounts]


def _sum(scenario: Scenario, account: str, dimension: str) -> int | None:
    if scenario.faults.timeout or any(a.count is None or a.program for a in scenario.agents):
        return None
    total = scenario.spent if account == ROOT else 0
    for agents in scenario.agents:
        if account != ROOT and account not in scenario.charges(agents):
            continue
        for number in range(agents.calls):
            top = largest_bill(counted(costs_of(scenario, agents.call, number), dimension))
            if top is None or agents.count is None:
                return None
            total += top * agents.count
    return total
