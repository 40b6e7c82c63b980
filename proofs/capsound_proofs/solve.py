"""``solve``: from a scenario to a verdict on each property, with a proof or the shortest counterexample.

What is tried, in this order, until every property is decided; each way of deciding is a module of its own:

1. handles (``handles``): programs are checked for second uses before anything runs;
2. contradictions (``vacuity``): a scenario in which some call can never be billed is refused;
3. the estimator (``earning``): whether A1 follows from what is known of the requests;
4. a proof for every amount, tree, schedule and number of agents (``general``);
   of several ceilings each by itself, here and with their numbers (``ceilings``);
5. all bills together, where they fit under the cap (``fits``);
6. a proof with the numbers of the scenario (``numeric``), one account at a time, then, for what is still open, with all
   accounts told apart; in between a run is played that no run can be shorter than (``search``);
7. a bounded search for the shortest counterexample, which the monitor replays before it is believed (``search``);
8. all states of a small scope (``crosscheck``);
9. a run that is played to the brink of the cap and over it (``search``);
10. a smaller copy, whose counterexample is one of the whole, or which is all that is decided (``smaller``).

What none of them decides is ``unknown``, with what was established. Concrete runs must agree with every verdict
(``crosscheck``). Then comes what the verdict is worth (``flags``), and how far the cap can be overshot (``overshoot``).
"""

from __future__ import annotations

import time

from capsound.machine import TOLD_APART, compile_scenario
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.verdict import merge
from capsound_proofs.bmc import SEARCH
from capsound_proofs.ceilings import prove_each_ceiling
from capsound_proofs.conclusions import conclude_what_follows
from capsound_proofs.crosscheck import CHECKED, agree_with_runs, agree_with_states, decide_by_states, explore_scope
from capsound_proofs.earning import judge_estimators
from capsound_proofs.fits import prove_by_sum
from capsound_proofs.flags import flags_of
from capsound_proofs.general import prove_in_general
from capsound_proofs.handles import accept_handles, judge_handles
from capsound_proofs.numeric import prove_by_account, prove_with_numbers
from capsound_proofs.outcome import Outcome, PropertyResult
from capsound_proofs.overshoot import largest_overshoot
from capsound_proofs.problem import Problem, Progress
from capsound_proofs.search import break_at_once, break_by_playing, search_for
from capsound_proofs.smaller import look_at_smaller
from capsound_proofs.vacuity import refuse_contradictions
from capsound_proofs.work import Ceiling
from capsound_proofs.worst import Worst

__all__ = ["Outcome", "Progress", "PropertyResult", "solve"]


def solve(scenario: Scenario, *, progress: Progress = lambda _: None) -> Outcome:
    """Return the verdicts on a scenario.

    Raises ``BadDiscipline`` for a scenario that its discipline cannot run, ``Contradiction`` for one in which some
    call can never be billed, and ``Disagreement`` when two parts that must agree do not (status 70).
    """
    return _solve(scenario, progress, copies=True)


def _solve(scenario: Scenario, progress: Progress, *, copies: bool) -> Outcome:
    began = time.monotonic()
    machine = compile_scenario(scenario, limit=TOLD_APART)
    asked = list(scenario.properties or default_properties(machine))
    problem = Problem(scenario, machine, asked, progress, ceiling=Ceiling(scenario.search.seconds))
    if machine.reuse is not None and Property.HANDLES in problem.asked:
        judge_handles(problem)
        if machine.discipline.affine:
            # Rejected before it runs: nothing is spent, and nothing else can be said of it.
            return _outcome(problem, None, (), began)
    elif Property.HANDLES in problem.asked:
        accept_handles(problem)
    refuse_contradictions(problem)
    judge_estimators(problem)
    prove_each_ceiling(problem)
    prove_in_general(problem)
    prove_by_sum(problem)
    conclude_what_follows(problem)
    if problem.undecided:
        prove_by_account(problem)
        conclude_what_follows(problem)
        break_at_once(problem)
        prove_with_numbers(problem)
        conclude_what_follows(problem)
    explored = explore_scope(problem)
    for prop in problem.undecided:
        conclude_what_follows(problem)
        if prop in problem.undecided:
            search_for(problem, prop, CHECKED if explored is not None and explored.complete else SEARCH)
    decide_by_states(problem, explored)
    break_by_playing(problem)
    if copies:
        look_at_smaller(problem, lambda copy: _solve(copy, progress, copies=False))
    agree_with_states(problem, explored)
    agree_with_runs(problem, explored)
    flags = flags_of(problem)
    worst = largest_overshoot(problem, explored)
    if problem.ceiling.struck:
        problem.sentences.append(f"The {problem.ceiling.seconds:g} seconds allowed were used up before all was tried.")
    return _outcome(problem, worst, flags, began)


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
