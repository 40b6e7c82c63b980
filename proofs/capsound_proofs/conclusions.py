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
from capsound_proofs.invariants import PROVE, Candidate, Invariant, goal
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.second import confirm
from capsound_proofs.terms import Term
from capsound_proofs.work import Work


def conclude(problem: Problem, invariant: Invariant, open_: Iterable[Property], bound: str) -> None:
    """Record every property that the invariant implies, once the second solver has agreed."""
    if not invariant.finished:
        return
    began = time.monotonic()
    proved: dict[Property, Term] = {}
    for prop in open_:
        wanted = _width_goal(problem, invariant) if prop is Property.WIDTH else goal(invariant.abstraction, prop)
        if wanted is not None and invariant.implies(wanted):
            proved[prop] = wanted
    if not proved:
        return
    together = z3.And(*proved.values())
    needed = _relevant(invariant, together)
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
    return z3.And(*[value <= most for value in balances(config)])


def _relevant(invariant: Invariant, wanted: Term) -> Invariant:
    """Return a small part of the invariant that is inductive by itself and implies the goal.

    Start with what the goal needs, then add what each step needs, until it stands alone: unsatisfiable cores
    name the needed conjuncts.
    """
    system = invariant.abstraction.system
    everything = list(invariant.kept)
    work = Work(PROVE, invariant.ceiling)
    needed = _core(work, [*system.axioms, z3.Not(wanted)], everything) or everything
    while True:
        grown = list(needed)
        for transition in system.transitions:
            facts = [*system.axioms, *system.axioms_after(transition), transition.guard]
            for candidate in needed:
                after = system.after(candidate.formula, transition)
                if after.eq(candidate.formula):
                    continue
                broken = [*facts, z3.Not(after)]
                core = _core(work, broken, grown)
                if core is None:
                    core = _core(work, broken, everything) or everything
                grown += [c for c in core if c not in grown]
        if len(grown) == len(needed):
            return replace(invariant, kept=tuple(c for c in invariant.kept if c in grown))
        needed = grown


def _core(work: Work, facts: list[Term], pool: list[Candidate]) -> list[Candidate] | None:
    """Return conjuncts of ``pool`` that contradict the facts, or None where even all of them do not."""
    solver = work.solver()
    solver.add(*facts)
    marks = {f"c{i}": c for i, c in enumerate(pool)}
    for name, candidate in marks.items():
        solver.track(candidate.formula, name)
    if solver.check() != z3.unsat:
        return None
    return [marks[name] for name in solver.core()]
