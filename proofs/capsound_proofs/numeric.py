"""The proof with the numbers of the scenario: for its agents, under every schedule."""

from __future__ import annotations

from capsound.machine import TOLD_APART, Machine
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound_proofs.accounts import accounts_of
from capsound_proofs.aggregate import Abstraction, Options, calls_started
from capsound_proofs.conclusions import conclude
from capsound_proofs.invariants import Invariant, find
from capsound_proofs.problem import Problem
from capsound_proofs.promises import conclude_of_accounts
from capsound_proofs.work import Ceiling

MAX_ACCOUNTS = 40
MAX_SIZE = 1_000
"""Scenarios with more accounts, or more places times accounts, are not proved with every account told apart."""


def tractable(machine: Machine) -> bool:
    """Return whether the machine is small enough for a proof that tells its accounts apart.

    Several ceilings never are: each is proved by itself (``ceilings``).
    """
    if machine.alone and len(machine.accounts) > 1:
        return False
    representatives = {process.family: process for process in machine.processes}
    places = sum(len(process.places) for process in representatives.values())
    return len(machine.accounts) <= MAX_ACCOUNTS and places * len(machine.accounts) <= MAX_SIZE


def numbers_invariant(scenario: Scenario, machine: Machine, ceiling: Ceiling | None = None) -> Invariant:
    """Return what holds of every state of the machine, with the numbers of the scenario."""
    shortfall = scenario.assume.shortfall if scenario.assume.a1 is not True else None
    agents = {entry: agents.count for entry, agents in enumerate(scenario.agents) if agents.count is not None}
    options = Options(counts=calls_started(scenario, machine), agents=agents, shortfall=shortfall)
    return find(Abstraction(machine, options), ceiling)


def numbers_of(problem: Problem) -> Invariant | None:
    """Return what holds with the numbers of the scenario, found once; None where that would be too large."""
    several = problem.machine.alone and len(problem.machine.accounts) > 1  # each of these is proved by itself
    if problem.numbers is None and not several and tractable(problem.machine):
        problem.numbers = numbers_invariant(problem.scenario, problem.machine, problem.ceiling)
    return problem.numbers


def _bound(problem: Problem) -> str:
    many = any(agents.count is None for agents in problem.scenario.agents)
    who = "any number of agents" if many else "these agents and calls"
    return f"proved for these amounts, {who}, every schedule"


def prove_by_account(problem: Problem) -> None:
    """Prove what holds with the numbers of the scenario, one account at a time."""
    problem.progress("proof with these numbers, one account at a time")
    accounts = accounts_of(problem)
    if accounts is not None:
        open_ = [p for p in problem.undecided if p is not Property.WIDTH]
        conclude_of_accounts(problem, accounts, open_, _bound(problem))


def prove_with_numbers(problem: Problem) -> None:
    """Prove what holds with the numbers of the scenario, all its accounts told apart, under every schedule.

    Nothing is proved where a played run breaks all that is left open: that run shows that it does not hold.
    """
    broken = problem.played or {}
    if all(prop in broken for prop in problem.undecided) or not tractable(problem.machine):
        return
    problem.progress("proof with these numbers")
    numbers = numbers_of(problem)
    if any(a.own_slice is not None and a.count is not None and a.count > TOLD_APART for a in problem.scenario.agents):
        # Their slices are not all accounts of this machine, so that it does not speak for all of them.
        return
    if numbers is not None:
        conclude(problem, numbers, problem.undecided, _bound(problem))
