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

from collections.abc import Iterable, Iterator
from dataclasses import replace

import z3

from capsound.machine import TOLD_APART, Place, compile_scenario, discipline_of
from capsound.scenario import Request, Scenario
from capsound_proofs.aggregate import Abstraction, Options, calls_started
from capsound_proofs.building import all_of, constant, implies, no
from capsound_proofs.calls import Spot, cost_bounds, place_of
from capsound_proofs.conclusions import small_part
from capsound_proofs.invariants import Candidate, Invariant, find, total_billed
from capsound_proofs.numeric import tractable
from capsound_proofs.problem import Problem
from capsound_proofs.second import confirm
from capsound_proofs.terms import Term, largest
from capsound_proofs.transitions import Transition
from capsound_proofs.work import Ceiling, Solver, Work

EXCESS = 20_000_000
"""The work to find the excesses of all accounts."""

HUGE = 10**30
"""An excess that no amount of a scenario explains."""


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


def in_flight_invariant(problem: Problem) -> Invariant | None:
    """Return what holds of every state, with the smallest excess of each account; None where nothing is found."""
    scenario = problem.machine.scenario
    if problem.numbers is not None and problem.numbers.finished:
        problem.numbers.abstraction.system.assume(_one_place_each(problem.numbers.abstraction))
        return _with_excesses(problem.numbers, problem.ceiling)
    machine = compile_scenario(calls_alike(scenario), limit=TOLD_APART)
    if not tractable(machine) or any(process.alone and not process.is_agent for process in machine.processes):
        return None
    if any(a.own_slice is not None and (a.count is None or a.count > TOLD_APART) for a in scenario.agents):
        return None
    shortfall = scenario.assume.shortfall if scenario.assume.a1 is not True else None
    abstraction = Abstraction(machine, Options(counts=calls_started(scenario, machine), shortfall=shortfall))
    abstraction.system.assume(_one_place_each(abstraction))
    found = find(abstraction, problem.ceiling)
    return _with_excesses(found, problem.ceiling) if found.finished else None


def _with_excesses(found: Invariant, ceiling: Ceiling | None) -> Invariant:
    found = replace(found, kept=(*found.kept, *_grants(found, ceiling)))
    return replace(found, kept=(*found.kept, *_excesses(found, ceiling)))


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
            there = _sum(sums.count for spot, sums in abstraction.spots.items() if spot.process == index)
            yield there <= count


def _grants(invariant: Invariant, ceiling: Ceiling | None) -> Iterator[Candidate]:
    """Yield that a slice is granted nothing before it is opened and at most its grant then, where that is inductive."""
    abstraction = invariant.abstraction
    machine = abstraction.machine
    work = Work(EXCESS, ceiling)
    for index, at in abstraction.slice_at.items():
        own = [place for place in machine.processes[index].places if place.kind not in ("call", "more")]
        for made, place in enumerate(own):
            granted, name = abstraction.ledgers[place.account].granted, machine.accounts[place.account].name
            if place.kind == "delegate" and place.grant.hi is not None:
                guesses = [
                    Candidate(f"{name}.granted = 0 before it is delegated", implies(at <= made, granted == 0)),
                    Candidate(f"{name}.granted <= {machine.scenario.told(place.grant.hi)}", granted <= place.grant.hi),
                ]
                if _inductive(invariant, work, all_of(*[guess.formula for guess in guesses])):
                    yield from guesses


def _inductive(invariant: Invariant, work: Work, formula: Term) -> bool:
    """Return whether a formula holds at the start, and after each step where it held before, beside the invariant."""
    system = invariant.abstraction.system
    started = work.solver()
    started.add(*system.axioms, *system.start, no(formula))
    if started.check() != z3.unsat:
        return False
    for transition in system.transitions:
        after = system.after(formula, transition)
        if after.eq(formula):
            continue
        solver = _step_solver(invariant, work, transition)
        solver.add(formula, no(after))
        if solver.check() != z3.unsat:
            return False
    return True


def _excesses(invariant: Invariant, ceiling: Ceiling | None) -> Iterator[Candidate]:
    """Yield, for each account, by how much its bills may exceed its grant: only what is inductive."""
    abstraction = invariant.abstraction
    work = Work(EXCESS, ceiling)
    for index, info in enumerate(abstraction.machine.accounts):
        ledger = abstraction.ledgers[index]
        spots = [spot for spot in abstraction.spots if place_of(abstraction.machine, spot).account == index]
        if not spots:
            continue
        for what, scale, planned in _to_come(abstraction, spots):
            taken = (ledger.billed + ledger.delegated + ledger.returned) * scale + planned
            over = taken - ledger.granted * scale
            most = _smallest_excess(invariant, work, over)
            if most is not None:
                name = f"{info.name}." if index or len(abstraction.ledgers) > 1 else ""
                room = f"{most}/{scale}" if scale > 1 else abstraction.machine.scenario.told(most)
                text = f"{name}billed + {what} <= granted + {room}"
                yield Candidate(text, over <= most)


def _to_come(abstraction: Abstraction, spots: list[Spot]) -> Iterator[tuple[str, int, Term]]:
    """Yield how what unsent calls may be billed can be counted: words for it, the scale, and the scaled sum."""
    unsent = [spot for spot in spots if place_of(abstraction.machine, spot).phase != "sent" and not spot.dead]
    covers = _sum(abstraction.spots[spot].of["cover"] for spot in unsent)
    yield "what unsent calls were admitted for", 1, covers
    if (ratio := abstraction.options.shortfall) is not None:
        yield f"{ratio} x what unsent calls were admitted for", ratio.denominator, covers * ratio.numerator
    tops = [_top(place_of(abstraction.machine, spot)) for spot in unsent]
    if all(top is not None for top in tops):
        each = [abstraction.spots[spot].count * top for spot, top in zip(unsent, tops, strict=True)]
        yield "the largest bills of unsent calls", 1, _sum(each)


def _sum(terms: Iterable[Term]) -> Term:
    """Return a sum that both solvers read: cvc5 refuses a sum of one."""
    total: Term = constant(0)
    for term in terms:
        total = total + term
    return total


def _top(place: Place) -> int | None:
    return cost_bounds(place)[1]["bill"]


def _smallest_excess(invariant: Invariant, work: Work, over: Term) -> int | None:
    """Return the smallest amount that ``over`` never exceeds by induction, None where there is none.

    A step either never makes it larger, or it is an admission: then what it can be afterwards is bounded by itself.
    """
    abstraction = invariant.abstraction
    most = 0
    started = work.solver()
    started.add(*abstraction.system.axioms, *abstraction.system.start, over > 0)
    if started.check() != z3.unsat:
        return None
    for transition in abstraction.system.transitions:
        after = abstraction.system.after(over, transition)
        if after.eq(over):
            continue
        solver = _step_solver(invariant, work, transition)
        if solver.check(after > over) == z3.unsat:
            continue
        if solver.check(after > most) == z3.unsat:
            continue
        if solver.check(after >= HUGE) != z3.unsat:
            return None

        def larger(amount: int, solver: Solver = solver, after: Term = after) -> bool:
            # Giving up rules nothing out.
            return amount < HUGE and bool(solver.check(after >= amount) != z3.unsat)

        most = largest(larger, most)
    return most if most < HUGE // 2 and work.left > 0 else None


def _step_solver(invariant: Invariant, work: Work, transition: Transition) -> Solver:
    system = invariant.abstraction.system
    solver = work.solver()
    solver.add(*system.axioms, *system.axioms_after(transition), transition.guard)
    solver.add(*[c.formula for c in invariant.kept])
    return solver
