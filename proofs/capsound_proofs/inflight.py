"""How far check-then-act can overshoot: what the other agents may have in flight when a call is admitted.

Let a call be admitted where the ledger has room for it, and let an agent have one call at a time. When a call is
admitted, all that is settled and the new call fit under the grant; what does not count yet is what the other agents
have in flight. So bills never exceed the grant by more than the largest bills of all agents but one. Between two
admissions nothing grows: a bill is at most what its call was admitted for, and settling moves it from the calls in
flight to the ledger.

This module finds, for each account, the smallest such excess that is inductive, from the sums of the counter
abstraction and one more fact: an agent is at one place. The calls of an agent that are alike are one call that starts
again, so that 20 calls cost what one does. The result is an invariant like any other, decided again by cvc5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from capsound.machine import TOLD_APART, compile_scenario, discipline_of
from capsound.scenario import Agents, CallKind, Interval, Plain, Request, Scenario, Several
from capsound_proofs.aggregate import Abstraction, Options, calls_started
from capsound_proofs.building import implies
from capsound_proofs.conclusions import small_part
from capsound_proofs.excesses import summed, with_excesses
from capsound_proofs.invariants import Invariant, find, total_billed
from capsound_proofs.numeric import tractable
from capsound_proofs.problem import Problem
from capsound_proofs.second import confirm
from capsound_proofs.terms import Term


def calls_alike(scenario: Scenario) -> Scenario:
    """Return the scenario in which an agent whose calls are all alike makes one, started any number of times."""
    if discipline_of(scenario).turn > 1:
        return scenario
    kinds = {kind.name: kind.cost for kind in scenario.calls}

    def alike(call: str) -> bool:
        cost = kinds[call]
        return not isinstance(cost, Request) or not cost.growth

    agents = tuple(
        replace(agents, calls=1) if not agents.program and alike(agents.call) else agents for agents in scenario.agents
    )
    return replace(scenario, agents=agents)


def kinds_merged(scenario: Scenario) -> Scenario | None:
    """Return the scenario with all agents of an account as one entry, whose calls are of any of their kinds.

    Every run is a run of that scenario, so what bounds those bounds these. None where nothing is merged: only calls of
    an estimate and a bill are, of agents who differ in nothing but their calls.
    """
    kinds = {kind.name: kind.cost for kind in scenario.calls}
    by_account: dict[str, list[Agents]] = {}
    for agents in scenario.agents:
        plain = isinstance(kinds[agents.call], Plain) and replace(agents, name="", call="", count=1, calls=1) == Agents(
            "", 1, agents.account, ""
        )
        if not plain or agents.count is None:
            return None
        by_account.setdefault(agents.account, []).append(agents)
    if len(by_account) == len(scenario.agents):
        return None
    merged: list[Agents] = []
    calls: list[CallKind] = []
    for number, (account, together) in enumerate(by_account.items()):
        costs = [cost for cost in (kinds[a.call] for a in together) if isinstance(cost, Plain)]
        estimates, bills = [cost.estimate for cost in costs], [cost.bill for cost in costs]
        kind = Several(_hull(estimates), _hull(bills), tuple(dict.fromkeys(costs)))
        calls.append(CallKind(f"{number}", kind))
        count = sum(a.count or 0 for a in together)
        merged.append(Agents(f"agents {number}", count, account, f"{number}", max(a.calls for a in together)))
    return replace(scenario, agents=tuple(merged), calls=tuple(calls))


def _hull(ranges: list[Interval]) -> Interval:
    tops = [interval.hi for interval in ranges]
    most = None if None in tops else max(top for top in tops if top is not None)
    return Interval(min(interval.lo for interval in ranges), most)


def in_flight_merged(problem: Problem) -> Invariant | None:
    """Return what holds of every state where agents of one account are merged; None where there are none."""
    scenario = kinds_merged(problem.machine.scenario)
    if scenario is None or problem.machine.alone:
        return None
    scenario = replace(scenario, assume=problem.scenario.assume)
    machine = compile_scenario(calls_alike(scenario), limit=TOLD_APART)
    if not tractable(machine):
        return None
    # Each entry has as many agents, and starts as many calls, as those that it stands for.
    counts = calls_started(scenario, machine)
    agents = {entry: agents.count for entry, agents in enumerate(scenario.agents) if agents.count is not None}
    shortfall = scenario.assume.shortfall if scenario.assume.a1 is not True else None
    abstraction = Abstraction(machine, Options(counts=counts, agents=agents, shortfall=shortfall))
    found = find(abstraction, problem.ceiling)
    return with_excesses(found, problem.ceiling) if found.finished else None


def in_flight_invariant(problem: Problem) -> Invariant | None:
    """Return what holds of every state, with the smallest excess of each account; None where nothing is found."""
    scenario = problem.machine.scenario
    if problem.numbers is not None and problem.numbers.finished:
        problem.numbers.abstraction.system.assume(_one_place_each(problem.numbers.abstraction))
        return with_excesses(problem.numbers, problem.ceiling)
    machine = compile_scenario(calls_alike(scenario), limit=TOLD_APART)
    if not tractable(machine) or any(process.alone and not process.is_agent for process in machine.processes):
        return None
    if any(a.own_slice is not None and (a.count is None or a.count > TOLD_APART) for a in scenario.agents):
        return None
    shortfall = scenario.assume.shortfall if scenario.assume.a1 is not True else None
    abstraction = Abstraction(machine, Options(counts=calls_started(scenario, machine), shortfall=shortfall))
    abstraction.system.assume(_one_place_each(abstraction))
    found = find(abstraction, problem.ceiling)
    return with_excesses(found, problem.ceiling) if found.finished else None


def bound_overshoot(problem: Problem, invariant: Invariant, most: int, cap: int | None) -> str | None:
    """Return what the second solver says of a bound on the overshoot at a cap, None where it is not implied."""
    granted = invariant.abstraction.ledgers[0].granted
    wanted = total_billed(invariant.abstraction) - granted <= most
    if cap is not None:
        wanted = implies(granted == cap, wanted)
    if not invariant.implies(wanted):
        return None
    return confirm(small_part(invariant, wanted), wanted, problem.ceiling)


def _one_place_each(abstraction: Abstraction) -> Iterator[Term]:
    """Yield that no more agents are at places of calls than there are: each is at one place."""
    machine = abstraction.machine
    for index in abstraction.groups.values():
        process = machine.processes[index]
        count = 1 if process.alone else machine.scenario.agents[process.entry].count
        if count is not None:
            there = summed(sums.count for spot, sums in abstraction.spots.items() if spot.process == index)
            yield there <= count
