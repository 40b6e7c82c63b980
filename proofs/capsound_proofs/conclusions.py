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
from capsound_proofs.invariants import Candidate, Invariant, goal
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.second import confirm
from capsound_proofs.terms import Term


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
    agreed = confirm(needed, together)
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
    needed = _core([*system.axioms, z3.Not(wanted)], everything) or everything
    while True:
        grown = list(needed)
        for transition in system.transitions:
            facts = [*system.axioms, *system.axioms_after(transition), transition.guard]
            for candidate in needed:
                after = system.after(candidate.formula, transition)
                if after.eq(candidate.formula):
                    continue
                broken = [*facts, z3.Not(after)]
                core = _core(broken, grown)
                if core is None:
                    core = _core(broken, everything) or everything
                grown += [c for c in core if c not in grown]
        if len(grown) == len(needed):
            return replace(invariant, kept=tuple(c for c in invariant.kept if c in grown))
        needed = grown


def _core(facts: list[Term], pool: list[Candidate]) -> list[Candidate] | None:
    """Return conjuncts of ``pool`` that contradict the facts, or None where even all of them do not."""
    solver = z3.SimpleSolver()
    solver.add(*facts)
    marks = {f"c{i}": c for i, c in enumerate(pool)}
    for name, candidate in marks.items():
        solver.assert_and_track(candidate.formula, name)
    if solver.check() != z3.unsat:
        return None
    return [marks[str(name)] for name in solver.unsat_core()]
