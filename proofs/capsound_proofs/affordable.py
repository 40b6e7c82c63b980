"""Calls that must never be refused: the summary that comes last, and still has to be paid for.

Whether a call fits depends on who came before it, so that every run is asked: all states of the scope are visited. What
is cut off is not decided, and said.
"""

from __future__ import annotations

from dataclasses import dataclass

from capsound.explorer import Scope, explore
from capsound.schedule import run_schedule
from capsound_proofs.problem import Problem

STATES = 20_000
"""How many states are visited at most."""


@dataclass(frozen=True, slots=True)
class Affordable:
    """The answer in words; ``refused`` is the token of a shortest run in which such a call is refused."""

    sentence: str
    refused: str = ""


def affordable(problem: Problem) -> Affordable | None:
    """Return whether all calls that must be affordable are, None where none has to be."""
    machine = problem.machine
    agents = machine.scenario.agents
    names = ", ".join(group.name for group in agents if group.affordable)
    if not names:
        return None
    watched = frozenset(i for i, p in enumerate(machine.processes) if p.is_agent and agents[p.entry].affordable)
    problem.progress("affordable")
    found = explore(machine, (), Scope(states=STATES), watched=watched)
    if found.refused is not None:
        trace = run_schedule(machine, found.refused)
        steps = len(trace.steps)
        who = trace.steps[-1].actor
        shown = f"capsound replay {problem.scenario.path or 'scenario.toml'} {found.refused.token}"
        return Affordable(f"A call of {who} can be refused, in {steps} steps: {shown}", found.refused.token)
    whole = found.complete and not found.cut_amounts and len(watched) and _told_apart(problem)
    if whole:
        return Affordable(f"No call of {names} is ever refused: all {found.distinct} states were visited.")
    return Affordable(f"Not decided: whether a call of {names} can be refused ({found.distinct} states were visited).")


def _told_apart(problem: Problem) -> bool:
    """Return whether the machine has every agent of the scenario."""
    counts = [group.count for group in problem.machine.scenario.agents]
    there = sum(process.is_agent for process in problem.machine.processes)
    return None not in counts and sum(count or 0 for count in counts) == there
