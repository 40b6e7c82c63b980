"""Counter abstraction: any number of agents, calls and slices as a handful of sums.

Instead of one set of variables per agent there is, for every place of a call, how many calls are there and
the sums of what they were admitted for, billed and told. One step moves one call, of which only this is known:
it satisfies the facts of its place, and so do all the others together. That over-approximates every run of
every number of agents, so an invariant of the sums is a proof for all of them; a thousand agents cost what
three do. Slices are summed up in the same way: to its parent a slice is a call that is held, billed and
settled, and by induction over the depth of the tree it obeys the same bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.terms import TERMS, Term, conj, integer, truth

LOCALS = ("size", "cover", "bill", "told", "over")
"""What is summed over the calls at one place; ``over`` is by how much a bill is above its cover."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A linear fact about one call: the weighted locals plus ``constant`` are at least zero.

    Linear, so that it also holds of sums of calls, with ``constant`` times their number.
    """

    weights: tuple[tuple[str, int], ...]
    constant: int = 0

    def of(self, values: Mapping[str, Term], count: Term) -> Term:
        """Return the fact for the sums ``values`` of ``count`` calls."""
        total: Term = count * self.constant if self.constant else 0
        for name, weight in self.weights:
            total = total + values[name] * weight
        return total >= 0


@dataclass(frozen=True, slots=True)
class Spot:
    """One place of one class of calls; ``dead`` for calls whose agent crashed there."""

    group: str
    process: int
    at: int
    dead: bool = False

    @property
    def name(self) -> str:
        """The prefix of its variables: numbers only, since groups are named by users."""
        return f"p{self.process}@{self.at}{'.dead' if self.dead else ''}"


@dataclass(slots=True)
class Sums:
    """The variables of one spot."""

    count: Term
    of: dict[str, Term]


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of the abstraction: possible where ``guard`` holds, then ``after`` gives every variable."""

    name: str
    guard: Term
    after: dict[str, Term]


@dataclass(slots=True)
class System:
    """A transition system over integers: variables, initial state, axioms that always hold, and steps."""

    variables: dict[str, Term] = field(default_factory=dict)
    start: list[Term] = field(default_factory=list)
    axioms: list[Term] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    _pairs: dict[str, list[tuple[Term, Term]]] = field(default_factory=dict)
    _later: dict[str, list[Term]] = field(default_factory=dict)

    def add(self, name: str, start: Term | None) -> Term:
        """Add a variable; ``start`` is its initial value, None for any."""
        variable = z3.Int(name)
        self.variables[name] = variable
        if start is not None:
            self.start.append(variable == start)
        return variable

    def after(self, formula: Term, transition: Transition) -> Term:
        """Return what ``formula`` says of the state after a transition."""
        return z3.substitute(truth(formula), *self._changed(transition))

    def after_all(self, formulas: list[Term], transition: Transition) -> list[Term]:
        """Return what each of ``formulas`` says of the state after a transition, in one substitution."""
        together = z3.And(*[truth(f) for f in formulas], z3.BoolVal(True))
        return list(z3.substitute(together, *self._changed(transition)).children())[:-1]

    def axioms_after(self, transition: Transition) -> list[Term]:
        """Return the axioms about the state after a transition; those that it does not touch are left out."""
        if transition.name not in self._later:
            pairs = zip(self.axioms, self.after_all(self.axioms, transition), strict=True)
            self._later[transition.name] = [later for axiom, later in pairs if not later.eq(truth(axiom))]
        return self._later[transition.name]

    def _changed(self, transition: Transition) -> list[tuple[Term, Term]]:
        if transition.name not in self._pairs:
            self._pairs[transition.name] = [
                (self.variables[name], integer(value))
                for name, value in transition.after.items()
                if not (z3.is_expr(value) and value.eq(self.variables[name]))
            ]
        return self._pairs[transition.name]

    def step(self, name: str, guard: Term, after: dict[str, Term]) -> None:
        """Add a transition; each is numbered, so that its name is its own."""
        self.transitions.append(Transition(f"{len(self.transitions)} {name}", truth(guard), after))


@dataclass(frozen=True, slots=True)
class Options:
    """Which questions the abstraction is for.

    ``children``: slices are summed up below the only account (any tree). ``counts``: how many calls of each
    group there are (None: any number). ``shortfall``: the factor by which bills may exceed covers, if bounded.
    """

    children: bool = False
    counts: Mapping[str, int] | None = None
    shortfall: Fraction | None = None


class Abstraction:
    """The abstraction of a machine, with its candidate invariants."""

    def __init__(self, machine: Machine, options: Options) -> None:
        self.machine = machine
        self.options = options
        self.system = System()
        self.ledgers: list[Ledger] = []
        self.spots: dict[Spot, Sums] = {}
        self.started: dict[str, Term] = {}
        self.slice_at: dict[int, Term] = {}
        self.child: Sums | None = None
        self.facts: dict[Spot, list[Fact]] = {}
        self.groups = _groups(machine)
        self.holds = {spot: _holding(machine, spot) for spot in self._all_spots()}
        self._find_facts()
        self._declare()
        self._build()

    # ------------------------------------------------------------------------------------ facts per call

    def _all_spots(self) -> Iterator[Spot]:
        for group, index in self.groups.items():
            process = self.machine.processes[index]
            for at, place in enumerate(process.places):
                if place.kind == "call" and not place.draws_size:
                    yield Spot(group, index, at)
                    if self.machine.faults[2]:
                        yield Spot(group, index, at, dead=True)

    def _candidate_facts(self, place: Place) -> list[Fact]:
        facts = [Fact(((name, 1),)) for name in LOCALS]
        facts += [Fact(((name, -1),)) for name in ("bill", "told", "over")]
        facts += [
            Fact((("cover", 1), ("bill", -1))),
            Fact((("over", 1), ("cover", 1), ("bill", -1))),
            Fact((("bill", 1), ("over", -1))),
            Fact((("bill", 1), ("told", -1))),
            Fact((("told", 1), ("bill", -1))),
            Fact((("cover", 1), ("bill", -1), ("size", -1))),
            Fact((("cover", 1), ("bill", -1), ("size", -2))),
        ]
        costs = place.costs
        assert costs is not None
        if (ratio := self.options.shortfall) is not None:
            n, d = ratio.numerator, ratio.denominator
            facts += [
                Fact((("cover", n), ("bill", -d))),
                Fact((("cover", n - d), ("over", -d))),
            ]
        lows, highs = cost_bounds(place)
        for name, low in lows.items():
            if low:
                facts.append(Fact(((name, 1),), -low))
        for name, high in highs.items():
            if high is not None:
                facts.append(Fact(((name, -1),), high))
        return facts

    def _find_facts(self) -> None:
        """Find the facts of each place: all candidates, less those that some step of one call breaks."""
        live = [spot for spot in self._all_spots() if not spot.dead]
        facts = {spot: self._candidate_facts(self._place(spot)) for spot in live}
        edges = list(self._call_edges(live))
        changed = True
        while changed:
            changed = False
            for source, target, locals_, guard, after in edges:
                known = [f.of(locals_, 1) for f in facts[source]] if source is not None else []
                solver = z3.SimpleSolver()
                solver.add(truth(guard), *map(truth, known))
                while facts[target]:
                    broken = z3.Or(*[z3.Not(truth(f.of(after, 1))) for f in facts[target]])
                    if solver.check(broken) == z3.unsat:
                        break
                    model = solver.model()
                    kept = [
                        f for f in facts[target] if z3.is_true(model.eval(truth(f.of(after, 1)), model_completion=True))
                    ]
                    if len(kept) == len(facts[target]):
                        break
                    facts[target] = kept
                    changed = True
        self.facts = {spot: facts[Spot(spot.group, spot.process, spot.at)] for spot in self._all_spots()}

    def _call_edges(
        self, live: list[Spot]
    ) -> Iterator[tuple[Spot | None, Spot, dict[str, Term], Term, dict[str, Term]]]:
        """Yield every step of a single call between two places, whatever its account looks like."""
        known = {(s.process, s.at): s for s in live}
        for branch in self.machine.branches():
            process = self.machine.processes[branch.process]
            if self.groups.get(process.group) != branch.process or process.places[branch.place].kind != "call":
                continue
            source = known.get((branch.process, branch.place))
            config = self._free_config()
            chosen = _fresh_call(source)
            guards: list[Term] = []
            running = Running(branch.place, _call_vars(chosen) if source else CallVars())
            config.running[branch.process] = running
            conditions = fire(self.machine, config, branch, Env(TERMS, _drawer(guards)))
            target = known.get((branch.process, _at(running)))
            if target is None or conditions == [False]:
                continue
            yield source, target, chosen, conj([*conditions, *guards]), _locals_of(running.call)

    def _free_config(self) -> Config:
        ledgers = [
            Ledger(**{name: z3.Int(f"free.{i}.{name}") for name in LEDGER_FIELDS})
            for i in range(len(self.machine.accounts))
        ]
        return self._config(ledgers)

    def _config(self, ledgers: list[Ledger]) -> Config:
        done = [Running(process.done) for process in self.machine.processes]
        return Config(ledgers, [1] * len(self.machine.accounts), done, [1, 1, 1])

    def _place(self, spot: Spot) -> Place:
        return self.machine.processes[spot.process].places[spot.at]

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
        for spot in self._all_spots():
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
        for group, index in self.groups.items():
            self.started[group] = system.add(f"p{index}.started", 0)
            if self.options.counts is not None and group in self.options.counts:
                system.axioms.append(self.started[group] <= self.options.counts[group])
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
                if self.groups[process.group] == branch.process:
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
        config = self._config([Ledger(**_fields(ledger)) for ledger in self.ledgers])
        chosen = _fresh_call(source)
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
        running = Running(branch.place, _call_vars(chosen) if source else CallVars())
        config.running[branch.process] = running
        conditions = fire(self.machine, config, branch, Env(TERMS, _drawer(guards)))
        guard = conj([*conditions, *guards])
        if guard is False:
            return
        self._put_ledgers(after, config)
        if branch.kind == "crash":
            self._arrive(after, Spot(group, branch.process, branch.place, dead=True), running.call)
        else:
            at = _at(running)
            target = Spot(group, branch.process, at)
            if target in self.spots and at != place.start:
                self._arrive(after, target, running.call)
        if place.draws_size and branch.kind == "run":
            started = self.started[group]
            if self.options.counts is not None and group in self.options.counts:
                guard = conj([guard, started < self.options.counts[group]])
            after[f"p{branch.process}.started"] = started + 1
        name = f"{branch.kind} {place.label}" if branch.kind != "run" else place.label
        self.system.step(f"{group}: {name}", guard, after)

    def _arrive(self, after: dict[str, Term], target: Spot, call: CallVars) -> None:
        """Add a call to the sums of a place."""
        for name, value in _locals_of(call).items():
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
        config = self._config([Ledger(**_fields(ledger)) for ledger in self.ledgers])
        config.running[branch.process] = Running(branch.place)
        conditions = fire(self.machine, config, branch, Env(TERMS, _drawer(guards)))
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
        self._put_ledgers(after, self._config([parent]))
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
            self._put_ledgers(after, self._config([parent]))
            after["slices.granted"] = sums.of["granted"] - child.returned
            after["slices.available"] = rest[1] + child.available
            self.system.step("close a slice", conj(one), after)


# ------------------------------------------------------------------------------------------- helpers


def _groups(machine: Machine) -> dict[str, int]:
    """Return one process for each group that makes calls."""
    groups: dict[str, int] = {}
    for index, process in enumerate(machine.processes):
        if any(place.kind == "call" for place in process.places):
            groups.setdefault(process.group, index)
    return groups


def _fields(ledger: Ledger) -> dict[str, Term]:
    return {name: getattr(ledger, name) for name in LEDGER_FIELDS}


def _fresh_call(spot: Spot | None) -> dict[str, Term]:
    prefix = spot.name if spot is not None else "new"
    values: dict[str, Term] = {name: z3.Int(f"one.{prefix}.{name}") for name in LOCALS}
    values["over"] = z3.If(values["bill"] > values["cover"], values["bill"] - values["cover"], z3.IntVal(0))
    return values


def _call_vars(chosen: dict[str, Term]) -> CallVars:
    return CallVars(
        size=chosen["size"],
        cover=chosen["cover"],
        bill=chosen["bill"],
        told=chosen["told"],
        seen=z3.Int("one.seen"),
    )


def _locals_of(call: CallVars) -> dict[str, Term]:
    over = TERMS.ite(call.bill > call.cover, call.bill - call.cover, 0)
    return {"size": call.size, "cover": call.cover, "bill": call.bill, "told": call.told, "over": over}


def _at(running: Running) -> int:
    assert isinstance(running.at, int)
    return running.at


def _drawer(guards: list[Term]) -> Callable[[str, Term, Term | None], Term]:
    """Return a chooser that gives fresh variables and notes their bounds as guards."""
    used = 0

    def draw(name: str, lo: Term, hi: Term | None) -> Term:
        nonlocal used
        used += 1
        amount = z3.Int(f"draw.{name}{used}")
        guards.append(amount >= lo)
        if hi is not None:
            guards.append(amount <= hi)
        return amount

    return draw


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


def cost_bounds(place: Place) -> tuple[dict[str, int], dict[str, int | None]]:
    """Return the smallest and the largest cover and bill of one call, where they are bounded."""
    assert place.costs is not None
    estimate, bill = cost_ranges(place.costs)
    lows = {"cover": estimate.lo, "bill": bill.lo, "told": bill.lo}
    highs = {"cover": estimate.hi, "bill": bill.hi, "told": bill.hi, "size": place.costs.size.hi}
    return lows, highs
