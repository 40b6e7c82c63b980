"""By how much the bills of an account may exceed its grant: the smallest excess that every step keeps.

What is looked for is a sum that an admission bounds and nothing else lets grow: what was billed, delegated and given
back, and what calls that were admitted may still be billed. It is tried in several ways of counting the last. What is
found is inductive beside the invariant that it is found from, and proved again with it by the second solver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import z3

from capsound.machine import Place
from capsound_proofs.aggregate import Abstraction
from capsound_proofs.building import all_of, constant, implies, no
from capsound_proofs.calls import Spot, cost_bounds, largest_excess, place_of
from capsound_proofs.invariants import Candidate, Invariant
from capsound_proofs.terms import Term, largest
from capsound_proofs.transitions import Transition
from capsound_proofs.work import Ceiling, Solver, Work

EXCESS = 20_000_000
"""The work to find the excesses of all accounts."""

HUGE = 10**30
"""An excess that no amount of a scenario explains."""


def with_excesses(found: Invariant, ceiling: Ceiling | None) -> Invariant:
    """Return an invariant, and by how much the bills of each account may exceed its grant: what is inductive of it."""
    found = replace(found, kept=(*found.kept, *_grants(found, ceiling)))
    return replace(found, kept=(*found.kept, *_excesses(found, ceiling)))


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
            gone = ledger.billed + ledger.delegated
            # An account that is closed in debt gives back less than nothing, and was billed what it was billed.
            ways = [gone + ledger.returned, *([gone] if abstraction.options.slice else [])]
            # What a fault has lost is charged nowhere: of each fault it is one bill.
            ways += [way - ledger.lost for way in ways] if abstraction.faults is not None else []
            for counted in ways:
                over = counted * scale + planned - ledger.granted * scale
                most = _smallest_excess(invariant, work, over)
                if most is not None:
                    name = f"{info.name}." if index or len(abstraction.ledgers) > 1 else ""
                    room = f"{most}/{scale}" if scale > 1 else abstraction.machine.scenario.told(most)
                    yield Candidate(f"{name}billed + {what} <= granted + {room}", over <= most)


def _to_come(abstraction: Abstraction, spots: list[Spot]) -> Iterator[tuple[str, int, Term]]:
    """Yield how what unsent calls may be billed can be counted: words for it, the scale, and the scaled sum."""
    unsent = [spot for spot in spots if place_of(abstraction.machine, spot).phase != "sent" and not spot.dead]
    covers = summed(abstraction.spots[spot].of["cover"] for spot in unsent)
    yield "what unsent calls were admitted for", 1, covers
    if (ratio := abstraction.options.shortfall) is not None:
        yield f"{ratio} x what unsent calls were admitted for", ratio.denominator, covers * ratio.numerator
    over = [largest_excess(costs) if (costs := place_of(abstraction.machine, spot).costs) else None for spot in unsent]
    if any(over) and all(most is not None for most in over):
        above = summed(abstraction.spots[spot].count * most for spot, most in zip(unsent, over, strict=True))
        yield "what unsent calls were admitted for and may exceed it by", 1, covers + above
    tops = [_top(place_of(abstraction.machine, spot)) for spot in unsent]
    if all(top is not None for top in tops):
        each = [abstraction.spots[spot].count * top for spot, top in zip(unsent, tops, strict=True)]
        yield "the largest bills of unsent calls", 1, summed(each)


def summed(terms: Iterable[Term]) -> Term:
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
