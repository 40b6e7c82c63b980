"""From an invariant to results: what it implies, by how small a part of it, and whether the second solver agrees."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

import z3

from capsound.machine import Config
from capsound.predicates import balances, largest_number
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_proofs.building import all_of, implies, no, proposition
from capsound_proofs.invariants import PROVE, Invariant, goal
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.second import confirm
from capsound_proofs.terms import Term


def conclude(problem: Problem, invariant: Invariant, open_: Iterable[Property], bound: str) -> None:
    """Record every property that the invariant implies, once the second solver has agreed."""
    if not invariant.finished:
        return
    began = time.monotonic()
    goals: dict[Property, Term] = {}
    for prop in open_:
        wanted = _width_goal(problem, invariant) if prop is Property.WIDTH else goal(invariant.abstraction, prop)
        if wanted is not None:
            goals[prop] = wanted
    answers = invariant.implied(list(goals.values()))
    proved = {prop: wanted for (prop, wanted), yes in zip(goals.items(), answers, strict=True) if yes}
    if not proved:
        return
    together = all_of(*proved.values())
    needed = small_part(invariant, together)
    agreed = confirm(needed, together, problem.ceiling)
    seconds = (invariant.seconds + time.monotonic() - began) / len(proved)
    for prop in proved:
        problem.results[prop] = PropertyResult(
            prop,
            Verdict.SOUND,
            bound,
            f"inductive invariant ({agreed})",
            seconds,
            invariant=tuple(c.text for c in needed.kept),
        )


def conclude_what_follows(problem: Problem) -> None:
    """Record what proved properties imply: where nothing overshoots, no overshoot needs a deficit to explain it."""
    above = [prop for prop in (Property.CAP, Property.SLICE) if prop in problem.asked]
    proved = [problem.results[prop] for prop in above if prop in problem.results]
    if Property.OVERRUN not in problem.undecided or Property.CAP not in above or len(proved) < len(above):
        return
    if all(result.verdict is Verdict.SOUND for result in proved):
        names = " and ".join(prop.value for prop in above)
        problem.results[Property.OVERRUN] = PropertyResult(
            Property.OVERRUN,
            Verdict.SOUND,
            f"follows from {names}: {proved[0].bound}",
            f"implied by {names}",
            0.0,
        )


def _width_goal(problem: Problem, invariant: Invariant) -> Term:
    most = largest_number(problem.machine)
    config = Config(invariant.abstraction.ledgers, [], [], [])
    return all_of(*[value <= most for value in balances(config)])


def small_part(invariant: Invariant, wanted: Term) -> Invariant:
    """Return a small part of the invariant that is inductive by itself and implies the goal.

    Start with what the goal needs, then add what each step needs, until it stands alone: unsatisfiable cores
    name the needed conjuncts.
    """
    system = invariant.abstraction.system
    everything = list(invariant.kept)
    work = invariant.begun(PROVE)
    marks = [proposition(f"c{number}") for number in range(len(everything))]
    solver = work.solver()
    solver.add(*system.axioms, *[implies(mark, c.formula) for mark, c in zip(marks, everything, strict=True)])
    named_as = {f"c{number}": number for number in range(len(marks))}

    def core(facts: list[Term], pool: Iterable[int]) -> set[int] | None:
        """Return conjuncts of ``pool`` that contradict the facts, or None where even all of them do not."""
        solver.push()
        solver.add(*facts)
        answer = solver.check(*[marks[number] for number in pool])
        found = {named_as[name] for name in solver.core()} if answer == z3.unsat else None
        solver.pop()
        return found

    whole = range(len(everything))
    needed = core([no(wanted)], whole)
    needed = set(whole) if needed is None else needed
    touched: dict[str, dict[int, Term]] = {}
    done: set[int] = set()
    while needed - done:
        more = sorted(needed - done)
        grown = set(needed)
        for transition in system.transitions:
            if transition.name not in touched:
                touched[transition.name] = system.touched([c.formula for c in everything], transition)
            broken = [touched[transition.name][number] for number in more if number in touched[transition.name]]
            if not broken:
                continue
            solver.push()
            solver.add(transition.guard, *system.axioms_after(transition))
            for later in broken:
                found = core([no(later)], sorted(grown))
                if found is None:
                    found = core([no(later)], whole)
                grown |= set(whole) if found is None else found
            solver.pop()
        done |= set(more)
        needed = grown
    return replace(invariant, kept=tuple(everything[number] for number in sorted(needed)))
