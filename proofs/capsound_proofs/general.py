"""The proof for every amount: all numbers of the scenario are forgotten, and so is who is who."""

from __future__ import annotations

from dataclasses import replace

from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound.scenario import ANY, ROOT, Agents, CallKind, Plain, Scenario, Stream
from capsound_proofs.aggregate import Abstraction, Options
from capsound_proofs.conclusions import conclude
from capsound_proofs.invariants import Invariant, find
from capsound_proofs.problem import Problem


def _general(scenario: Scenario) -> Scenario:
    """Return the scenario with every number forgotten: any cap, any estimate, any bill the assumptions allow."""
    kinds = []
    for kind in scenario.calls:
        cost = kind.cost
        if isinstance(cost, Stream):
            kinds.append(CallKind(kind.name, Stream(ANY, cost.chunks)))
        else:
            kinds.append(CallKind(kind.name, Plain(ANY, ANY)))
    used = dict.fromkeys(agents.call for agents in scenario.agents)
    agents = tuple(Agents(f"agents-{name}", 1, ROOT, name) for name in used)
    return replace(scenario, cap=ANY, calls=tuple(kinds), agents=agents, slices=(), properties=())


def prove_in_general(problem: Problem) -> None:
    """Prove what holds for every amount, schedule, number of agents and calls, and tree of slices."""
    if any(agents.program for agents in problem.scenario.agents) and not problem.machine.discipline.affine:
        return
    problem.progress("proof for all amounts")
    assume = problem.scenario.assume
    machine = compile_scenario(_general(problem.scenario))
    trees = len(problem.machine.accounts) > 1
    if trees and assume.a1 is not True:
        # The induction over slices needs every slice to keep its bills within its grant, which is A1.
        return
    options = Options(children=trees, shortfall=assume.shortfall if assume.a1 is not True else None)
    invariant = find(Abstraction(machine, options), problem.ceiling)
    where = "every cap, amount, schedule, number of agents and calls"
    if trees:
        where += ", and every tree of slices"
    if machine.discipline.streams:
        chunks = max(k.cost.chunks for k in problem.scenario.calls if isinstance(k.cost, Stream))
        where += f", for streams of up to {chunks} chunks"
    conclude(problem, invariant, [p for p in problem.undecided if p is not Property.WIDTH], f"proved for {where}")
    _overspend_sentence(problem, invariant)


def _overspend_sentence(problem: Problem, invariant: Invariant) -> None:
    """Say how far an estimator that is short by a bounded factor can overshoot any cap, if that is proved."""
    shortfall = invariant.abstraction.options.shortfall
    if shortfall is None or not invariant.finished:
        return
    root = invariant.abstraction.ledgers[0]
    n, d = shortfall.numerator, shortfall.denominator
    if not invariant.implies(root.billed * d <= root.granted * n):
        return
    there = root.granted - root.available - root.held - root.forfeited
    r = str(shortfall)
    if invariant.implies(root.settled * d <= there * n):
        problem.sentences.append(
            f"For any number of agents: settled bills <= {r} x (cap - available - held - forfeited)."
        )
    problem.sentences.append(
        f"With bills at most {r} times the hold, true bills stay within {r} x cap: "
        f"the overspend is at most {shortfall - 1} x cap."
    )
