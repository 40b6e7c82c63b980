"""Grants that cannot all be given, and agents that can never call: what a design surely did not mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from capsound.compiling import compile_scenario
from capsound.scenario import ROOT, Agents, Scenario
from capsound_proofs.worst import admits

_UNBOUNDED = 10**6
"""The cap that stands for a cap without an upper end."""


def over_granted(scenario: Scenario) -> Iterator[str]:
    """Yield a sentence for each account whose slices add up to more than it can ever hold.

    Of a range of grants the smallest counts, and of any number of agents none: only what is sure is told.
    """
    left = None if scenario.cap.hi is None else scenario.cap.hi - scenario.spent
    room = {ROOT: left, **{item.name: item.grant.hi for item in scenario.slices}}
    given = dict.fromkeys(room, 0)
    for item in scenario.slices:
        given[item.parent] += item.grant.lo
    for agents in scenario.agents:
        if agents.own_slice is not None:
            given[agents.account] += agents.own_slice.lo * (agents.count or 0)
    for account, most in room.items():
        if most is not None and given[account] > most:
            total, there = scenario.told(given[account]), scenario.told(most)
            yield f"The slices of {account} add up to {total}, and {account} has {there}."


def idle_agents(scenario: Scenario) -> Iterator[str]:
    """Yield a sentence for each entry of agents that can make no call, even if nobody else does.

    Asked only where every grant is one amount: what the environment grants least would not be all that it can.
    """
    if not all(item.grant.fixed for item in scenario.slices):
        return
    cap = scenario.cap.hi if scenario.cap.hi is not None else scenario.cap.lo + _UNBOUNDED
    # Where all slices can be open at once, none is in the way of another.
    crowded = any(True for _ in over_granted(scenario))
    for agents in scenario.agents:
        if agents.program or (agents.own_slice is not None and not agents.own_slice.fixed):
            continue
        one = replace(agents, count=1, calls=1)
        alone = replace(scenario, agents=(one,)) if crowded else _alone(scenario, one)
        if not admits(compile_scenario(alone), cap):
            where = " and ".join(agents.ceilings) or agents.account
            where = where if agents.own_slice is None else f"its slice of {scenario.told(agents.own_slice)}"
            yield f"No agent of {agents.name} can ever call: no estimate of {agents.call} fits {where}."


def _alone(scenario: Scenario, agents: Agents) -> Scenario:
    """Return the scenario of these agents, with the slices that they need: the others stay shut."""
    parents = {item.name: item.parent for item in scenario.slices}
    needed, account = set[str](), agents.account
    while account in parents and not agents.inherits:
        needed.add(account)
        account = parents[account]
    slices = tuple(item for item in scenario.slices if agents.inherits or item.name in needed)
    return replace(scenario, agents=(agents,), slices=slices)
