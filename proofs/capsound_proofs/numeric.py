"""The proof with the numbers of the scenario: for its agents, under every schedule."""

from __future__ import annotations

from capsound.disciplines import Retry
from capsound.machine import TOLD_APART, Machine
from capsound.scenario import Scenario
from capsound_proofs.aggregate import Abstraction, Options
from capsound_proofs.conclusions import conclude
from capsound_proofs.invariants import Invariant, find
from capsound_proofs.problem import Problem
from capsound_proofs.work import Ceiling

MAX_ACCOUNTS = 40
MAX_SIZE = 1_000
"""Scenarios with more accounts, or more places times accounts, are not proved with every account told apart."""


def tractable(machine: Machine) -> bool:
    """Return whether the machine is small enough for a proof that tells its accounts apart."""
    representatives = {process.family: process for process in machine.processes}
    places = sum(len(process.places) for process in representatives.values())
    return len(machine.accounts) <= MAX_ACCOUNTS and places * len(machine.accounts) <= MAX_SIZE


def _counts(scenario: Scenario, machine: Machine) -> dict[int, int] | None:
    """Return how many calls each entry of agents starts at most; None where restarts would not be counted."""
    if machine.discipline.retry is Retry.NEW_HOLD and scenario.faults.timeout:
        return None
    counts: dict[int, int] = {}
    for entry, agents in enumerate(scenario.agents):
        if agents.count is None or agents.program or agents.own_slice is not None:
            continue
        counts[entry] = agents.count * agents.calls
    return counts


def numbers_invariant(scenario: Scenario, machine: Machine, ceiling: Ceiling | None = None) -> Invariant:
    """Return what holds of every state of the machine, with the numbers of the scenario."""
    shortfall = scenario.assume.shortfall if scenario.assume.a1 is not True else None
    options = Options(counts=_counts(scenario, machine), shortfall=shortfall)
    return find(Abstraction(machine, options), ceiling)


def prove_with_numbers(problem: Problem) -> None:
    """Prove what holds with the numbers of the scenario, for its agents under every schedule."""
    machine = problem.machine
    if not tractable(machine):
        return
    problem.progress("proof with these numbers")
    problem.numbers = numbers_invariant(problem.scenario, machine, problem.ceiling)
    many = any(agents.count is None for agents in problem.scenario.agents)
    if any(a.own_slice is not None and a.count is not None and a.count > TOLD_APART for a in problem.scenario.agents):
        # Their slices are not all accounts of this machine, so that it does not speak for all of them.
        return
    who = "any number of agents" if many else "these agents and calls"
    conclude(problem, problem.numbers, problem.undecided, f"proved for these amounts, {who}, every schedule")
