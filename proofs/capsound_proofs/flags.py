"""What a verdict is worth, and what a design surely did not mean: remarks that stand beside the verdict, by name."""

from __future__ import annotations

from capsound.verdict import Verdict
from capsound_proofs.affordable import affordable
from capsound_proofs.building import all_of
from capsound_proofs.ceilings import never_admits
from capsound_proofs.fits import largest_sums, slices_fit
from capsound_proofs.grants import idle_agents, over_granted
from capsound_proofs.numeric import numbers_of
from capsound_proofs.problem import Problem
from capsound_proofs.worst import admits


def flags_of(problem: Problem) -> tuple[str, ...]:
    """Return the remarks on a scenario that was decided; what each rests on is added to its sentences.

    ``useless`` where no call can ever be admitted, ``uninformative`` where the cap cannot bind, ``over-granted`` where
    slices add up to more than there is, ``idle-agent`` where some agents can never call, ``unaffordable`` where a call
    can be refused that must not be.
    """
    flags = []
    if not _admits(problem):
        flags.append("useless")
    if _cannot_overshoot(problem):
        flags.append("uninformative")
    scenario = problem.machine.scenario
    if sentences := list(over_granted(scenario)):
        flags.append("over-granted")
        problem.sentences += sentences
    if "useless" not in flags and (sentences := list(idle_agents(scenario))):
        flags.append("idle-agent")
        problem.sentences += sentences
    if (said := affordable(problem)) is not None:
        problem.sentences.append(said.sentence)
        if said.refused:
            flags.append("unaffordable")
    return tuple(flags)


def _admits(problem: Problem) -> bool:
    """Return whether some run admits a call: the vacuity check of every proof."""
    for result in problem.results.values():
        if result.report is not None and result.report.exercise.admitted:
            return True
    machine = problem.machine
    cap = machine.cap.hi if machine.cap.hi is not None else machine.cap.lo + 10**6
    if admits(machine, cap):
        return True
    if machine.alone and len(machine.accounts) > 1:
        return not never_admits(problem)
    numbers = numbers_of(problem)
    if numbers is None or not numbers.finished:
        return True
    spots = numbers.abstraction.spots
    return not numbers.implies(all_of(*[s.count == 0 for s in spots.values()])) if spots else False


def _cannot_overshoot(problem: Problem) -> bool:
    """Return whether all calls fit under the cap together, so that a kept cap shows nothing.

    Of the scenario's own amounts only: what else is broken, or a slice that may be too small, does show something.
    """
    if any(result.verdict is Verdict.VIOLATED for result in problem.results.values()):
        return False
    fit = all(most is not None and most <= cap for most, cap in largest_sums(problem))
    return fit and (problem.machine.alone or slices_fit(problem.machine.scenario))
