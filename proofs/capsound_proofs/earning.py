"""Whether A1 is earned: by the estimator, from what is known of the requests of a scenario."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from capsound.scenario import Plain, Request
from capsound_proofs.estimator import judge_estimator
from capsound_proofs.problem import Problem
from capsound_proofs.vacuity import possible


def judge_estimators(problem: Problem) -> None:
    """Find out whether A1 follows from what is known of the requests, and let the rest rest on that."""
    requests = [kind for kind in problem.scenario.calls if isinstance(kind.cost, Request)]
    used = {agents.call for agents in problem.scenario.agents}
    requests = [kind for kind in requests if kind.name in used]
    if not requests:
        _judge_amounts(problem)
        return
    problem.progress("estimator")
    for kind in requests:
        problem.estimators.append(judge_estimator(problem.scenario, kind.name, problem.ceiling))
    if problem.scenario.assume.a1 is None:
        earned = all(answer.earned for answer in problem.estimators)
        ratios = [answer.shortfall for answer in problem.estimators]
        shortfall = None if earned or any(r is None for r in ratios) else max(r for r in ratios if r is not None)
        if earned:
            problem.sentences.append("A1 follows from the estimator: no request can be billed above its estimate.")
        elif shortfall is not None:
            problem.sentences.append(
                f"A1 does not follow from the estimator: a bill can be {_ratio(shortfall)} times its estimate."
            )
        else:
            problem.sentences.append("A1 does not follow from the estimator, and no factor bounds the bill.")
        _assume(problem, a1=earned, shortfall=shortfall)


def _judge_amounts(problem: Problem) -> None:
    """Find out whether A1 follows from the amounts of the scenario, where it is not assumed."""
    costs = {place.costs for process in problem.machine.processes for place in process.places if place.draws_size}
    if problem.scenario.assume.a1 is not False or not costs:
        return
    plain = [c for c in costs if c is not None and isinstance(c.cost, Plain)]
    if len(plain) == len(costs) and not any(possible(c, problem, above=True) for c in plain):
        problem.sentences.append("A1 follows from the amounts: no call can be billed above its estimate.")
        _assume(problem, a1=True, shortfall=None)


def _assume(problem: Problem, *, a1: bool, shortfall: Fraction | None) -> None:
    """Let proofs use what the estimator has earned; the machine itself goes on choosing real requests."""
    problem.scenario = replace(
        problem.scenario, assume=replace(problem.scenario.assume, a1=a1, shortfall=None if a1 else shortfall)
    )


def _ratio(value: Fraction) -> str:
    return str(value) if value.denominator == 1 or value.denominator > 1000 else f"{value} = {float(value):g}"
