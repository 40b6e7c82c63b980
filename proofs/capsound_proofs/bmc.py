"""Bounded search: the shortest schedule of a machine that breaks a property, with every amount symbolic.

One unrolling per machine, one more step at a time, so that the first satisfiable length is the shortest. Facts proved
for every state may be asserted at each step (``lemma``): a failing search then takes a tenth of a second, not minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import z3

from capsound.machine import Machine
from capsound.predicates import violates
from capsound.properties import Property
from capsound.schedule import INTS, Schedule
from capsound_proofs.building import no
from capsound_proofs.playing import played
from capsound_proofs.relation import Lemma, Relation
from capsound_proofs.smallest import smallest
from capsound_proofs.terms import value_of
from capsound_proofs.unrolling import Unrolling, cap_of
from capsound_proofs.work import Ceiling, Work

SEARCH = 12_000_000
"""The work for one property: what the shipped scenarios need is below a tenth of it."""

OVERSHOOT = 5_000_000
"""The work to find a run of more overshoot than is known."""


@dataclass(frozen=True, slots=True)
class Found:
    """A shortest counterexample, as a schedule of ``machine``."""

    schedule: Schedule
    machine: Machine


NOTHING: Mapping[Property, Found] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Searched:
    """No counterexample in ``steps`` steps of ``machine``, or of one with fewer agents where they cannot matter.

    ``witness`` is a longest run: where there is one, ``machine`` has every agent and no run is longer, so that all
    has been seen. ``gave_up`` is whether the search ended before its bound on steps.
    """

    steps: int
    machine: Machine
    witness: Schedule | None = None
    gave_up: bool = False

    @property
    def complete(self) -> bool:
        """Whether every run has been seen."""
        return self.witness is not None


def shortest(
    machine_for: Callable[[int], Machine],
    prop: Property,
    *,
    max_steps: int,
    agents_at: Callable[[int], int],
    everybody: int | None,
    lemma_for: Callable[[Machine], Lemma | None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
    ceiling: Ceiling | None = None,
    work: int = SEARCH,
    away: int = 0,
    relations: dict[int, Relation] | None = None,
    others: Mapping[Property, Found] = NOTHING,
) -> Found | Searched:
    """Return the shortest schedule that breaks ``prop``: fewest steps, then agents, then amounts.

    ``agents_at(k)`` is how many agents of an entry can matter in ``k`` steps; ``machine_for`` builds the machine with
    that many. With ``everybody`` it has all of them; None where no machine has. No run of fewer than ``away`` steps
    breaks the property: it is not asked of them. ``relations`` are those already built, by number of agents, and
    ``others`` what was found of other properties with them.
    """
    built = {} if relations is None else relations

    def unrolled(agents: int, work: int, steps: int) -> Unrolling:
        if agents not in built:
            machine = machine_for(agents)
            built[agents] = Relation(machine, cap_of(machine), lemma_for(machine))
        begun = Unrolling(built[agents].machine, Work(work, ceiling), relation=built[agents])
        for _ in range(steps):
            begun.extend()
        return begun

    agents = agents_at(max(1, away))
    unrolling = unrolled(agents, work, 0)
    if not away and unrolling.ask(unrolling.broken(prop)) == z3.sat:
        # Broken before anything moves: a cap that no machine integer holds.
        return Found(smallest(unrolling, unrolling.broken(prop)), unrolling.machine)
    for steps in range(1, max_steps + 1):
        progress(steps)
        wanted = agents_at(steps)
        if wanted > agents:
            agents = wanted
            unrolling = unrolled(agents, unrolling.work.left, steps - 1)
        machine = unrolling.machine
        unrolling.extend()
        while steps >= away:
            found = _first_of_both(unrolling, prop, others)
            if found is not None:
                return found
            answer = unrolling.ask(unrolling.broken(prop))
            if answer == z3.sat:
                return Found(smallest(unrolling, unrolling.broken(prop)), machine)
            if answer == z3.unknown:
                return Searched(steps - 1, machine, gave_up=True)
            if unrolling.ask() != z3.unsat or everybody is None:
                break
            if agents >= everybody:
                # Of the lengths that were not asked for, the longest that there is.
                for longest in range(steps - 1, min(away, steps) - 2, -1):
                    witness = run_of_length(unrolling.relation, longest, ceiling)
                    if witness is not None:
                        return Searched(longest, machine, witness)
                return Searched(steps - 1, machine, gave_up=True)
            # No run of these agents is as long as this. With more agents there may be one.
            agents = min(everybody, 2 * agents)
            unrolling = unrolled(agents, unrolling.work.left, steps)
            machine = unrolling.machine
    return Searched(max_steps, unrolling.machine)


def _first_of_both(unrolling: Unrolling, prop: Property, others: Mapping[Property, Found]) -> Found | None:
    """Return what was found of another property, where it is what would be found of this one: one question says so.

    It is the first of all runs of this length that break the other. So it is the first of fewer as well, if it is among
    them: it breaks this property, and whatever breaks this property breaks the other.
    """
    machine = unrolling.machine
    for other, found in others.items():
        if found.machine is not machine or len(found.schedule.choices) != len(unrolling.steps):
            continue
        config, _ = played(machine, found.schedule)
        if config is None or not violates(machine, config, prop, INTS):
            continue
        if unrolling.ask(unrolling.broken(prop), no(unrolling.broken(other))) == z3.unsat:
            return found
    return None


def run_of_length(relation: Relation, steps: int, ceiling: Ceiling | None) -> Schedule | None:
    """Return a run of so many steps, asserting nothing but the machine; None where none was found."""
    unrolling = Unrolling(relation.machine, Work(SEARCH, ceiling), relation=relation, bare=True)
    for _ in range(steps):
        unrolling.extend()
    return unrolling.schedule(unrolling.solver.model()) if unrolling.ask() == z3.sat else None


def most_overshoot(
    machine: Machine,
    *,
    cap: int,
    least: int,
    most: int | None,
    steps: int,
    lemma: Lemma | None,
    ceiling: Ceiling | None = None,
    further: int = 2,
    relation: Relation | None = None,
) -> tuple[int, Schedule] | None:
    """Return the largest overshoot above ``least`` of runs of ``steps`` to ``steps + further`` steps.

    Doubling and bisection with a plain solver; None where the work was not enough to find such a run.
    """
    unrolling = Unrolling(machine, Work(OVERSHOOT, ceiling), lemma=lemma, cap=cap, relation=relation)
    best: tuple[int, Schedule] | None = None
    known = least
    for length in range(1, steps + further + 1):
        if unrolling.work.left <= 0:
            return best
        unrolling.extend()
        if length < steps:
            continue
        # Ask for all that the proof leaves room for first: where it is attained, that is one query.
        step = 1 if most is None else most - known
        while most is None or known < most:
            target = known + step if most is None else min(known + step, most)
            if unrolling.ask(unrolling.overshoot() >= target) == z3.sat:
                model = unrolling.solver.model()
                known = value_of(model, unrolling.overshoot())
                best = (known, unrolling.schedule(model))
                step *= 2
            elif step > 1:
                step = 1
            else:
                break
    return best
