"""Counter abstraction: any number of agents, calls and slices as a handful of sums.

Instead of one set of variables per agent there is, for every place of a call, how many calls are there and
the sums of what they were admitted for, billed and told. One step moves one call, of which only this is known:
it satisfies the facts of its place, and so do all the others together. That over-approximates every run of
every number of agents, so an invariant of the sums is a proof for all of them; a thousand agents cost what
three do. Slices are summed up in the same way, by what each of them promises (``children``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import z3

from capsound.ceilings import begin_window
from capsound.disciplines import Retry
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
from capsound.scenario import Scenario
from capsound.steps import CallVars, Ledger
from capsound_proofs.building import all_of, any_of, constant, implies
from capsound_proofs.calls import (
    LOCALS,
    Family,
    Spot,
    Sums,
    call_vars,
    drawer,
    find_facts,
    forgotten,
    fresh_call,
    locals_of,
    new_call,
    resting,
    spots_of,
)
from capsound_proofs.children import FAULTS, Children, child_steps, copied, slice_frame
from capsound_proofs.folding import OUT, Step, steps
from capsound_proofs.sliding import Sliding, in_flight
from capsound_proofs.terms import TERMS, Term, conj, truth
from capsound_proofs.transitions import System

SPENT = ("charged", "billed", "settled", "booked")
"""The balances of the root that begin with what is already spent."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which questions the abstraction is for.

    ``children``: accounts that are summed up below the only account of the machine. ``slice``: that account is
    itself a slice, which is granted what the cap of the machine says, or refused and has nothing, and may be closed;
    ``sealed``: once, and its own calls are over then. ``counts``: how many calls each entry of
    agents starts at most, by its number in the file (None: any number). ``agents``: how many agents each entry has,
    so that no more of its calls are in flight. ``faults``: how many there are at most, in this account and below it, if
    they are counted. ``shortfall``: the factor by which bills may exceed covers, if bounded.
    """

    children: tuple[Children, ...] = ()
    slice: bool = False
    sealed: bool = True
    counts: Mapping[int, int] | None = None
    agents: Mapping[int, int] | None = None
    shortfall: Fraction | None = None
    faults: int | None = None


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
        self.below: list[tuple[Children, Sums]] = []
        self.closed: Term | None = None
        self.faults: Term | None = None
        self.groups = _groups(machine)
        self.limits = _limits(machine, self.groups, options)
        places = tuple(spots_of(machine, self.groups))
        self.steps = tuple(steps(machine, self.groups.values()))
        if len(machine.accounts) > 1 and machine.alone:
            raise ValueError("ceilings are proved one at a time: see capsound_proofs.ceilings")
        self.holds = {spot: _holding(machine, spot) for spot in places}
        self.facts = find_facts(machine, places, self.steps, options.shortfall)
        self.sliding = Sliding(machine, self.system)
        self._declare()
        self._build()

    # ---------------------------------------------------------------------------------------- variables

    def _declare(self) -> None:
        system = self.system
        for index in range(len(self.machine.accounts)):
            ledger = Ledger()
            for name in LEDGER_FIELDS:
                root_start = index == 0 and name in ("available", "granted", *SPENT)
                variable = system.add(f"a{index}.{name}", None if root_start else 0)
                setattr(ledger, name, variable)
            self.ledgers.append(ledger)
        root = self.ledgers[0]
        system.start.append(self._opened(root))
        cap = self.machine.cap
        granted = [root.granted >= cap.lo] + ([root.granted <= cap.hi] if cap.hi is not None else [])
        system.axioms += [any_of(root.granted == 0, conj(granted))] if self.options.slice else granted
        for spot in self.holds:
            sums = Sums(
                system.add(f"{spot.name}.count", 0),
                {name: system.add(f"{spot.name}.{name}", 0) for name in LOCALS},
            )
            self.spots[spot] = sums
            # True of sums of calls by construction: every call satisfies the facts of its place.
            system.axioms.append(sums.count >= 0)
            system.axioms += [truth(f.of(sums.of, sums.count)) for f in self.facts[spot]]
            empty = all_of(*[v == 0 for v in sums.of.values()])
            system.axioms.append(implies(sums.count == 0, empty))
        for index in self.groups.values():
            self.started[index] = system.add(f"p{index}.started", 0)
            if index in self.limits:
                system.axioms.append(self.started[index] <= self.limits[index])
            if (most := self._agents(index)) is not None:
                # An agent has one call at a time, and a crashed one keeps its last.
                in_flight: Term = constant(0)
                for spot, sums in self.spots.items():
                    in_flight = in_flight + (sums.count if spot.process == index else 0)
                system.axioms.append(in_flight <= most)
        for index, process in enumerate(self.machine.processes):
            if any(p.kind in ("delegate", "move", "close") for p in process.places):
                self.slice_at[index] = system.add(f"p{index}.at", 0)
        if self._closable and self.options.sealed:
            self.closed = system.add("closed", 0)
        for kind in self.options.children:
            sums = Sums(system.add(f"{kind.name}.count", 0), {n: system.add(f"{kind.name}.{n}", 0) for n in kind.names})
            self.below.append((kind, sums))
            # Proved of every account below, and so true of their sums.
            system.axioms.append(sums.count >= 0)
            system.axioms += [truth(fact.of(sums.of, sums.count)) for fact in kind.promise]
            system.axioms.append(implies(sums.count == 0, all_of(*[v == 0 for v in sums.of.values()])))
            if kind.most is not None:
                system.axioms.append(sums.count <= kind.most)
        if self.options.faults is not None:
            self.faults = system.add(FAULTS, 0)
            there: Term = self.faults
            for _, sums in self.below:
                there = there + sums.of.get(FAULTS, 0)
            # Each fault is one of a call, which is one of an account: together there are no more than the scenario has.
            system.axioms.append(there <= self.options.faults)

    def _opened(self, root: Ledger) -> Term:
        """Return how the first account begins: with what is already spent; as any account, also with nothing."""
        spent = self.machine.scenario.spent

        def begun(gone: int) -> Term:
            fields = [getattr(root, name) == gone for name in SPENT]
            return all_of(root.available == root.granted - gone, root.granted >= gone, *fields)

        return any_of(begun(0), begun(spent)) if spent and self.options.slice else begun(spent)

    def _agents(self, index: int) -> int | None:
        """Return how many agents process ``index`` stands for, None for any number."""
        process = self.machine.processes[index]
        if self.options.agents is None:
            return None
        return 1 if process.alone else self.options.agents.get(process.entry)

    # ----------------------------------------------------------------------------------------- steps

    def _build(self) -> None:
        for step in self.steps:
            self._call_step(step)
        for branch in self.machine.branches():
            place = self.machine.processes[branch.process].places[branch.place]
            if place.kind == "reset":
                self._reset_step(place)
            elif place.kind == "age":
                self.sliding.add_steps(self.ledgers[0], self.spots)
            elif place.kind not in ("call", "more", "drop"):
                self._slice_step(branch, place)
        if self._closable:
            self._close()
        for kind, sums in self.below:
            for child in child_steps(self.machine.discipline, self.ledgers[0], LEDGER_FIELDS, kind, sums):
                after = self._same()
                self._put_ledgers(after, resting(self.machine, [child.parent]))
                after[f"{kind.name}.count"] = child.count
                after |= {f"{kind.name}.{name}": value for name, value in child.after.items()}
                open_ = [self.closed == 0] if self.closed is not None and child.opens else []
                self.system.step(f"{kind.name}: {child.name}", conj([child.guard, *open_]), after)

    def _same(self) -> dict[str, Term]:
        return dict(self.system.variables)

    @property
    def _closable(self) -> bool:
        return self.options.slice and bool(self.machine.discipline.close)

    def _close(self) -> None:
        """Add that the account is closed: accounts below it may go on."""
        account, parent = copied(self.ledgers[0], LEDGER_FIELDS), Ledger()
        frame = slice_frame(parent, account, 0)
        close = self.machine.discipline.close
        guard = conj([step.guard(frame) for step in close if step.guard])
        for step in close:
            step.effect(frame)
        after = self._same()
        self._put_ledgers(after, resting(self.machine, [account]))
        if self.closed is not None:
            guard = conj([guard, self.closed == 0])
            after["closed"] = constant(1)
        self.system.step("close", guard, after)

    def _call_step(self, step: Step) -> None:
        branch = step.branch
        process = self.machine.processes[branch.process]
        place, group = process.places[branch.place], process.group
        guards: list[Term] = [] if self.closed is None else [self.closed == 0]
        source = Spot(group, branch.process, step.source) if step.source != OUT else None
        config = resting(self.machine, [Ledger(**_fields(ledger)) for ledger in self.ledgers])
        chosen = fresh_call(source)
        after = self._same()
        if source is not None:
            sums = self.spots[source]
            rest = {name: sums.of[name] - chosen[name] for name in LOCALS}
            guards += [sums.count >= 1]
            guards += [truth(f.of(chosen, 1)) for f in self.facts[source]]
            guards += [truth(f.of(rest, sums.count - 1)) for f in self.facts[source]]
            guards.append(implies(sums.count == 1, all_of(*[v == 0 for v in rest.values()])))
            after[f"{source.name}.count"] = sums.count - 1
            after |= {f"{source.name}.{name}": rest[name] for name in LOCALS}
        running = Running(branch.place, call_vars(chosen) if source else new_call())
        config.running[branch.process] = running
        conditions = fire(self.machine, config, branch, Env(TERMS, drawer(guards)))
        guard = conj([*conditions, *guards])
        if guard is False:
            return
        self._put_ledgers(after, config)
        if step.target != OUT:
            self._arrive(after, Spot(group, branch.process, step.target, dead=branch.kind == "crash"), running.call)
        if self.sliding.here:
            after |= self.sliding.noted(self.ledgers[0], config.ledgers[0], in_flight(self.machine, self.spots, after))
        if self.faults is not None and branch.kind in ("cancel", "timeout", "crash"):
            after[FAULTS] = self.faults + 1
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

    def _reset_step(self, place: Place) -> None:
        """Add that a new window begins, at any moment and any number of times, whatever the scenario says."""
        ledger = copied(self.ledgers[0], LEDGER_FIELDS)
        begin_window(ledger, keeps=place.keeps)
        after = self._same()
        self._put_ledgers(after, resting(self.machine, [ledger]))
        for source, twin in forgotten(self.machine, self.spots) if not place.keeps else ():
            for name in ("count", *LOCALS):
                after[f"{twin.name}.{name}"] = (
                    after[f"{twin.name}.{name}"] + self.system.variables[f"{source.name}.{name}"]
                )
                after[f"{source.name}.{name}"] = z3.IntVal(0)
        self.system.step("reset", True, after)

    def _slice_step(self, branch: Branch, place: Place) -> None:
        process = self.machine.processes[branch.process]
        at = self.slice_at[branch.process]
        order = [i for i, p in enumerate(process.places) if p.kind not in ("call", "more")]
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


# ------------------------------------------------------------------------------------------- helpers


def calls_started(scenario: Scenario, machine: Machine) -> dict[int, int] | None:
    """Return how many calls each entry of agents starts at most; None where restarts would not be counted."""
    if machine.discipline.retry is Retry.NEW_HOLD and scenario.faults.timeout:
        return None
    counts: dict[int, int] = {}
    for entry, agents in enumerate(scenario.agents):
        if agents.count is None or agents.program or agents.own_slice is not None:
            continue
        counts[entry] = agents.count * agents.calls
    return counts


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


def _holding(machine: Machine, spot: Spot) -> bool:
    """Return whether a call at the spot has an amount set aside in the ledger."""
    places = machine.processes[spot.process].places
    start = places[spot.at].start
    if machine.alone:
        return places[spot.at].held_on != places[spot.at].gone
    return any("holds" in step.tags for place in places[start : spot.at] for step in place.block)
