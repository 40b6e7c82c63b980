"""Several ceilings over one call: each is proved by itself, and what holds of all of them holds of all together.

A ceiling sees of a run what is done in its own ledger. Whoever is admitted is admitted by all, so what another ceiling
does can only keep a call out that this one would have let in: every run of the whole is a run of this ceiling alone, in
which a call may be refused although it fits (``capsound.charging.only``). A proof of that holds for any set of
ceilings around it. So three ceilings cost what one does, where they are alike; and a counterexample of one ceiling
alone is none of the whole: those are only looked for in the machine of all.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from fractions import Fraction

import z3

from capsound.charging import only
from capsound.compiling import compile_scenario
from capsound.costs import counted
from capsound.machine import Machine
from capsound.processes import Place
from capsound.properties import Property
from capsound.scenario import MONEY, ROOT, Agents, Assume, Interval, Scenario
from capsound.verdict import Verdict
from capsound_proofs.aggregate import Abstraction, Options, calls_started
from capsound_proofs.conclusions import conclude, conclude_what_follows
from capsound_proofs.general import everywhere, general_calls, said_of_lengths
from capsound_proofs.invariants import Invariant, find
from capsound_proofs.numeric import tractable
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.vacuity import possible

OF_EACH = (Property.CAP, Property.OVERRUN, Property.TRUTH, Property.CONSERVATION, Property.WIDTH)
"""What holds of a scenario where it holds of each of its ceilings."""


def prove_each_ceiling(problem: Problem) -> None:
    """Prove what holds of each ceiling whatever the others do, for every amount and then with those of the scenario."""
    if not problem.machine.alone or len(problem.machine.accounts) == 1:
        return
    problem.progress("proof of each ceiling, for all amounts")
    scenario = problem.scenario
    subs = [_alone(problem, index) for index in range(len(problem.machine.accounts))]
    proved: dict[Hashable, dict[Property, PropertyResult]] = {}
    lengths = said_of_lengths(scenario) if problem.machine.discipline.streams else ""
    bound = f"proved for {everywhere(scenario)}{lengths}"
    for index, sub in enumerate(subs):
        cap = Interval(sub.scenario.spent, None)
        machine = compile_scenario(_general(replace(scenario, assume=sub.scenario.assume)))
        here = only(machine, index, replace(sub.scenario, cap=cap))
        kind = _kind(here)
        if kind not in proved:
            trial = replace(sub, machine=here, results={})
            asked = [prop for prop in trial.asked if prop is not Property.WIDTH]
            options = Options(shortfall=_ratio(sub.scenario))
            conclude(trial, find(Abstraction(here, options), problem.ceiling), asked, bound)
            proved[kind] = trial.results
        sub.results |= proved[kind]
        conclude_what_follows(sub)
    _conclude(problem, subs)
    if not problem.undecided:
        return
    problem.progress("proof of each ceiling, with these numbers")
    bound = "proved for these amounts, these agents and calls, every schedule"
    for index, sub in enumerate(subs):
        if not sub.undecided or not tractable(sub.machine):
            continue
        invariant = _with_numbers(sub)
        conclude(sub, invariant, sub.undecided, bound)
        conclude_what_follows(sub)
        if invariant.finished:
            problem.each[index] = invariant
    _conclude(problem, subs)


def _alone(problem: Problem, index: int) -> Problem:
    """Return the question about one ceiling."""
    scenario = one_ceiling(problem.scenario, index)
    if problem.machine.accounts[index].dimension != MONEY:
        scenario = replace(scenario, assume=_assumed(problem, index))
    goes_on = not _waits_apart(problem) and not any(agents.after for agents in problem.scenario.agents)
    asked = [p for p in problem.undecided if p in OF_EACH or (p is Property.PROGRESS and goes_on)]
    return Problem(scenario, only(problem.machine, index, scenario), asked, problem.progress, ceiling=problem.ceiling)


def _assumed(problem: Problem, index: int) -> Assume:
    """Return what is assumed of the bills as a ceiling counts them: A1 of money says nothing of tokens.

    Where A1 is assumed, it is of whatever is held; else it has to follow from what is known of the requests.
    """
    said = problem.machine.scenario.assume
    if said.a1 is True:
        return said
    info = problem.machine.accounts[index]
    places = [p for process in problem.machine.processes for p in process.places if p.draws_size and index in p.charged]
    costs = {counted(p.costs, info.dimension) for p in places if p.costs is not None}
    earned = not any(possible(each, problem, above=True) for each in costs)
    return replace(said, a1=earned, shortfall=None)


def _waits_apart(problem: Problem) -> bool:
    """Return whether agents take the locks of several ceilings one by one, and so may wait for each other."""
    d = problem.machine.discipline
    return d.one_by_one and any(step.waits is not None for block in d.blocks for step in block)


def one_ceiling(scenario: Scenario, index: int) -> Scenario:
    """Return the scenario of one ceiling, 0 for the root; its entries of agents are all that there are."""
    if not index:
        return replace(scenario, ceilings=())
    ceiling = scenario.ceilings[index - 1]
    return replace(scenario, ceilings=(), cap=ceiling.cap, window=ceiling.window, spent=0)


def _with_numbers(sub: Problem) -> Invariant:
    scenario, machine = sub.scenario, sub.machine
    agents = {entry: group.count for entry, group in enumerate(scenario.agents) if group.count is not None}
    options = Options(counts=calls_started(scenario, machine), agents=agents, shortfall=_ratio(scenario))
    return find(Abstraction(machine, options), sub.ceiling)


def never_admits(problem: Problem) -> bool:
    """Return whether no call can ever be admitted: each agent is kept out by one of its ceilings alone."""
    machine = problem.machine
    open_ = {process.family for process in machine.processes if process.is_agent}
    for index in range(len(machine.accounts)):
        sub = _alone(problem, index)
        if not open_ or not tractable(sub.machine):
            continue
        invariant = problem.each.get(index) or _with_numbers(sub)
        if not invariant.finished:
            continue
        for number, process in enumerate(sub.machine.processes):
            admitted = [
                sums.count == 0
                for spot, sums in invariant.abstraction.spots.items()
                if spot.process == number and process.places[spot.at].admitted_on
            ]
            if process.family in open_ and admitted and invariant.implies(z3.And(*admitted)):
                open_.discard(process.family)
    # Whose calls are over in the block that admits them is at no place in between: that nobody is admitted at the start
    # is all there is, as long as no reset frees what was spent before.
    whole = {p.family for p in machine.processes if p.is_agent and not any(place.admitted_on for place in p.places)}
    return not (open_ - whole if not problem.machine.scenario.spent else open_)


def _ratio(scenario: Scenario) -> Fraction | None:
    return scenario.assume.shortfall if scenario.assume.a1 is not True else None


def _general(scenario: Scenario) -> Scenario:
    """Return the scenario with every number forgotten: agents that charge the same for the same kind of call are one.

    What a ceiling counts is forgotten, too: of any amount the estimate and the bill may be anything.
    """
    calls = general_calls(scenario)
    ways = dict.fromkeys((scenario.charges(a), calls[a.call].name) for a in scenario.agents)
    agents = tuple(
        Agents(f"agents{number}", 1, ROOT, call, ceilings=tuple(name for name in charged if name != ROOT))
        for number, (charged, call) in enumerate(ways)
    )
    kinds = tuple({kind.name: kind for kind in calls.values()}.values())
    ceilings = tuple(replace(ceiling, dimension=MONEY) for ceiling in scenario.ceilings)
    return replace(scenario, calls=kinds, agents=agents, ceilings=ceilings, properties=())


def _kind(machine: Machine) -> Hashable:
    """Return what machines of ceilings have in common of which one proof speaks."""
    processes = frozenset(
        (process.clock, tuple(_rule(place) for place in process.places)) for process in machine.processes
    )
    window = machine.scenario.window
    forgets = window.forgets if window is not None and window.slides else ""
    return (machine.cap, machine.scenario.spent, machine.budget, processes, forgets)


def _rule(place: Place) -> Place:
    return replace(place, charged=bool(place.charged) * (0,))


def _conclude(problem: Problem, subs: list[Problem]) -> None:
    """Record what all ceilings have been proved to keep."""
    for prop in list(problem.undecided):
        results = [sub.results.get(prop) for sub in subs]
        found = [result for result in results if result is not None and result.verdict is Verdict.SOUND]
        if prop not in subs[0].asked or len(found) < len(results):
            continue
        weakest = next((r for r in found if "these amounts" in r.bound), found[0])
        methods = dict.fromkeys(result.method for result in found)
        problem.results[prop] = PropertyResult(
            prop,
            Verdict.SOUND,
            f"each of {len(subs)} ceilings: {weakest.bound}",
            "; ".join(methods),
            sum(result.seconds for result in found),
            invariant=tuple(dict.fromkeys(text for result in found for text in result.invariant)),
        )
