"""Counter abstraction: any number of agents, calls and slices as a handful of sums.

Instead of one set of variables per agent there is, for every place of a call, how many calls are there and
the sums of what they were admitted for, billed and told. One step moves one call, of which only this is known:
it satisfies the facts of its place, and so do all the others together. That over-approximates every run of
every number of agents, so an invariant of the sums is a proof for all of them; a thousand agents cost what
three do. Slices are summed up in the same way: to its parent a slice is a call that is held, billed and
settled, and by induction over the depth of the tree it obeys the same bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import z3

from capsound.machine import (
    LEDGER_FIELDS,
    Branch,
    Config,
    Env,
    Machine,
    Place,
    Running,
    fire,
)
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.calls import (
    LOCALS,
    Family,
    Spot,
    Sums,
    call_vars,
    drawer,
    find_facts,
    fresh_call,
    locals_of,
    place_after,
    resting,
    spots_of,
)
from capsound_proofs.terms import TERMS, Term, conj, truth
from capsound_proofs.transitions import System


@dataclass(frozen=True, slots=True)
class Options:
    """Which questions the abstraction is for.

    ``children``: slices are summed up below the only account (any tree). ``counts``: how many calls each entry of
    agents starts at most, by its number in the file (None: any number). ``shortfall``: the factor by which bills may
    exceed covers, if bounded.
    """

    children: bool = False
    counts: Mapping[int, int] | None = None
    shortfall: Fraction | None = None


class Abstraction:
    """The abstraction of a machine, with its candidate invariants."""

    def __init__(self, machine: Machine, options: Options) -> None:
        self.machine = machine
        self.options = options
        self.system = System()
        self.ledgers: list[Ledger] = []
        self.spots: dict[Spot, Sums] = {}
        self.started: dict[int, Term] = {}
        self.slice_at: dict[int, Term] = {}
        self.child: Sums | None = None
        self.groups = _groups(machine)
        self.limits = _limits(machine, self.groups, options)
        places = tuple(spots_of(machine, self.groups))
        self.holds = {spot: _holding(machine, spot) for spot in places}
        self.facts = find_facts(machine, places, self.groups, options.shortfall)
        self._declare()
        self._build()

    # ---------------------------------------------------------------------------------------- variables

    def _declare(self) -> None:
        system = self.system
        for index in range(len(self.machine.accounts)):
            ledger = Ledger()
            for name in LEDGER_FIELDS:
                root_start = index == 0 and name in ("available", "granted")
                variable = system.add(f"a{index}.{name}", None if root_start else 0)
                setattr(ledger, name, variable)
            self.ledgers.append(ledger)
        root = self.ledgers[0]
        system.start.append(root.available == root.granted)
        system.axioms.append(root.granted >= self.machine.cap.lo)
        if self.machine.cap.hi is not None:
            system.axioms.append(root.granted <= self.machine.cap.hi)
        for spot in self.holds:
            sums = Sums(
                system.add(f"{spot.name}.count", 0),
                {name: system.add(f"{spot.name}.{name}", 0) for name in LOCALS},
            )
            self.spots[spot] = sums
            # True of sums of calls by construction: every call satisfies the facts of its place.
            system.axioms.append(sums.count >= 0)
            system.axioms += [truth(f.of(sums.of, sums.count)) for f in self.facts[spot]]
            empty = z3.And(*[v == 0 for v in sums.of.values()])
            system.axioms.append(z3.Implies(sums.count == 0, empty))
        for index in self.groups.values():
            self.started[index] = system.add(f"p{index}.started", 0)
            if index in self.limits:
                system.axioms.append(self.started[index] <= self.limits[index])
        for index, process in enumerate(self.machine.processes):
            if any(p.kind in ("delegate", "move", "close") for p in process.places):
                self.slice_at[index] = system.add(f"p{index}.at", 0)
        if self.options.children:
            self.child = Sums(
                system.add("slices.count", 0),
                {name: system.add(f"slices.{name}", 0) for name in ("granted", "available", "billed")},
            )
            system.axioms += [v >= 0 for v in (self.child.count, *self.child.of.values())]
            # The induction hypothesis: every slice keeps bills and free capacity within its grant.
            system.axioms.append(self.child.of["available"] + self.child.of["billed"] <= self.child.of["granted"])

    # ----------------------------------------------------------------------------------------- steps

    def _build(self) -> None:
        for branch in self.machine.branches():
            process = self.machine.processes[branch.process]
            place = process.places[branch.place]
            if place.kind == "call":
                if self.groups[process.family] == branch.process:
                    self._call_step(branch, place, process.group)
            else:
                self._slice_step(branch, place)
        if self.child is not None:
            self._child_steps()

    def _same(self) -> dict[str, Term]:
        return dict(self.system.variables)

    def _call_step(self, branch: Branch, place: Place, group: str) -> None:
        guards: list[Term] = []
        source = Spot(group, branch.process, branch.place) if not place.draws_size else None
        config = resting(self.machine, [Ledger(**_fields(ledger)) for ledger in self.ledgers])
        chosen = fresh_call(source)
        after = self._same()
        if source is not None:
            sums = self.spots[source]
            rest = {name: sums.of[name] - chosen[name] for name in LOCALS}
            guards += [sums.count >= 1]
            guards += [truth(f.of(chosen, 1)) for f in self.facts[source]]
            guards += [truth(f.of(rest, sums.count - 1)) for f in self.facts[source]]
            guards.append(z3.Implies(sums.count == 1, z3.And(*[v == 0 for v in rest.values()])))
            after[f"{source.name}.count"] = sums.count - 1
            after |= {f"{source.name}.{name}": rest[name] for name in LOCALS}
        running = Running(branch.place, call_vars(chosen) if source else CallVars())
        config.running[branch.process] = running
        conditions = fire(self.machine, config, branch, Env(TERMS, drawer(guards)))
        guard = conj([*conditions, *guards])
        if guard is False:
            return
        self._put_ledgers(after, config)
        if branch.kind == "crash":
            self._arrive(after, Spot(group, branch.process, branch.place, dead=True), running.call)
        else:
            at = place_after(running)
            target = Spot(group, branch.process, at)
            if target in self.spots and at != place.start:
                self._arrive(after, target, running.call)
        if place.draws_size and branch.kind == "run":
            started = self.started[branch.process]
            if branch.process in self.limits:
                guard = conj([guard, started < self.limits[branch.process]])
            after[f"p{branch.process}.started"] = started + 1
        name = f"{branch.kind} {place.label}" if branch.kind != "run" else place.label
        self.system.step(f"{group}: {name}", guard, after)

    def _arrive(self, after: dict[str, Term], target: Spot, call: CallVars) -> None:
        """Add a call to the sums of a place."""
        for name, value in locals_of(call).items():
            key = f"{target.name}.{name}"
            after[key] = after[key] + value
        key = f"{target.name}.count"
        after[key] = after[key] + 1

    def _put_ledgers(self, after: dict[str, Term], config: Config) -> None:
        for index, ledger in enumerate(config.ledgers):
            for name in LEDGER_FIELDS:
                after[f"a{index}.{name}"] = getattr(ledger, name)

    def _slice_step(self, branch: Branch, place: Place) -> None:
        process = self.machine.processes[branch.process]
        at = self.slice_at[branch.process]
        order = [i for i, p in enumerate(process.places) if p.kind != "call"]
        position = order.index(branch.place)
        guards: list[Term] = [at == position]
        config = resting(self.machine, [Ledger(**_fields(ledger)) for ledger in self.ledgers])
        config.running[branch.process] = Running(branch.place)
        conditions = fire(self.machine, config, branch, Env(TERMS, drawer(guards)))
        guard = conj([*conditions, *guards])
        if guard is False:
            return
        after = self._same()
        self._put_ledgers(after, config)
        after[f"p{branch.process}.at"] = at + 1
        name = f"{process.name}: {branch.kind} {place.label}"
        self.system.step(name, guard, after)

    def _child_steps(self) -> None:
        """Open a slice of any amount, let any slice spend within its bound, and close any slice."""
        assert self.child is not None
        sums = self.child
        discipline = self.machine.discipline
        grant = z3.Int("grant")
        parent = Ledger(**_fields(self.ledgers[0]))
        child = Ledger()
        frame = _slice_frame(parent, child, grant)
        guards = [grant >= 0] + [step.guard(frame) for step in discipline.delegate if step.guard]
        for step in discipline.delegate:
            step.effect(frame)
        after = self._same()
        self._put_ledgers(after, resting(self.machine, [parent]))
        after["slices.count"] = sums.count + 1
        after["slices.granted"] = sums.of["granted"] + child.granted
        after["slices.available"] = sums.of["available"] + child.available
        self.system.step("delegate a slice", conj(guards), after)

        granted, free, billed = z3.Ints("slice.granted slice.free slice.billed")
        rest = (sums.of["granted"] - granted, sums.of["available"] - free, sums.of["billed"] - billed)
        one = [
            sums.count >= 1,
            free >= 0,
            billed >= 0,
            free + billed <= granted,
            *[v >= 0 for v in rest],
            rest[1] + rest[2] <= rest[0],
        ]
        free_after, billed_after = z3.Ints("slice.free.next slice.billed.next")
        after = self._same()
        after["slices.available"] = rest[1] + free_after
        after["slices.billed"] = rest[2] + billed_after
        spends = [*one, free_after >= 0, billed_after >= billed, free_after + billed_after <= granted]
        self.system.step("a slice spends", conj(spends), after)

        if discipline.close:
            parent = Ledger(**_fields(self.ledgers[0]))
            child = Ledger(available=free, granted=granted)
            frame = _slice_frame(parent, child, 0)
            for step in discipline.close:
                step.effect(frame)
            after = self._same()
            self._put_ledgers(after, resting(self.machine, [parent]))
            after["slices.granted"] = sums.of["granted"] - child.returned
            after["slices.available"] = rest[1] + child.available
            self.system.step("close a slice", conj(one), after)


# ------------------------------------------------------------------------------------------- helpers


def _limits(machine: Machine, groups: Mapping[Family, int], options: Options) -> dict[int, int]:
    """Return how many calls the processes that each of ``groups`` stands for start at most, where that is known."""
    counts = options.counts or {}
    shared = {index: machine.processes[index] for index in groups.values()}
    return {index: counts[p.entry] for index, p in shared.items() if p.entry in counts and not p.alone}


def _groups(machine: Machine) -> dict[Family, int]:
    """Return one process for each family of interchangeable ones that makes calls."""
    groups: dict[Family, int] = {}
    for index, process in enumerate(machine.processes):
        if any(place.kind == "call" for place in process.places):
            groups.setdefault(process.family, index)
    return groups


def _fields(ledger: Ledger) -> dict[str, Term]:
    return {name: getattr(ledger, name) for name in LEDGER_FIELDS}


def _slice_frame(parent: Ledger, child: Ledger, grant: Term) -> Frame:
    none: Any = None
    return Frame(
        algebra=TERMS,
        account=child,
        call=CallVars(),
        costs=none,
        draw=lambda *_: 0,
        emit=lambda *_: None,
        parent=parent,
        child=child,
        grant=grant,
    )


def _holding(machine: Machine, spot: Spot) -> bool:
    """Return whether a call at the spot has an amount set aside in the ledger."""
    places = machine.processes[spot.process].places
    start = places[spot.at].start
    return any("holds" in step.tags for place in places[start : spot.at] for step in place.block)
