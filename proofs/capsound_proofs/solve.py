"""``solve``: from a scenario to a verdict on each property, with a proof or the shortest counterexample.

What is tried, in this order, until every property is decided; each way of deciding is a module of its own:

1. handles (``handles``): programs are checked for second uses before anything runs;
2. the estimator (``earning``): whether A1 follows from what is known of the requests;
3. a proof for every amount, tree, schedule and number of agents (``general``);
4. a proof with the numbers of the scenario (``numeric``);
5. a bounded search for the shortest counterexample, which the monitor replays before it is believed (``search``).

What none of them decides is ``unknown``, with what was established. Then comes what the verdict is worth
(``flags``), and how far the cap can be overshot (``overshoot``).
"""

from __future__ import annotations

import time

from capsound.machine import TOLD_APART, compile_scenario
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.verdict import merge
from capsound_proofs.earning import judge_estimators
from capsound_proofs.flags import flags_of
from capsound_proofs.general import prove_in_general
from capsound_proofs.handles import accept_handles, judge_handles
from capsound_proofs.numeric import prove_with_numbers
from capsound_proofs.outcome import Outcome, PropertyResult
from capsound_proofs.overshoot import largest_overshoot
from capsound_proofs.problem import Problem, Progress
from capsound_proofs.search import search_for
from capsound_proofs.worst import Worst

__all__ = ["Outcome", "Progress", "PropertyResult", "solve"]


def solve(scenario: Scenario, *, progress: Progress = lambda _: None) -> Outcome:
    """Return the verdicts on a scenario.

    Raises ``BadDiscipline`` for a scenario that its discipline cannot run, and ``Disagreement`` when two parts
    that must agree do not (status 70).
    """
    began = time.monotonic()
    machine = compile_scenario(scenario, limit=TOLD_APART)
    problem = Problem(scenario, machine, list(scenario.properties or default_properties(machine)), progress)
    if machine.reuse is not None and Property.HANDLES in problem.asked:
        judge_handles(problem)
        if machine.discipline.affine:
            # Rejected before it runs: nothing is spent, and nothing else can be said of it.
            return _outcome(problem, None, (), began)
    elif Property.HANDLES in problem.asked:
        accept_handles(problem)
    judge_estimators(problem)
    prove_in_general(problem)
    if problem.undecided:
        prove_with_numbers(problem)
    for prop in problem.undecided:
        search_for(problem, prop)
    flags = flags_of(problem)
    return _outcome(problem, largest_overshoot(problem), flags, began)


def _outcome(problem: Problem, worst: Worst | None, flags: tuple[str, ...], began: float) -> Outcome:
    results = tuple(problem.results[prop] for prop in problem.asked if prop in problem.results)
    return Outcome(
        problem.scenario,
        problem.machine,
        merge(r.verdict for r in results),
        results,
        tuple(problem.estimators),
        worst,
        flags,
        tuple(problem.sentences),
        time.monotonic() - began,
    )
