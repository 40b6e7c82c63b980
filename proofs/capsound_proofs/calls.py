"""One call by itself: the places that it passes, and the linear facts that hold of it at each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import z3

from capsound.costs import CallCosts
from capsound.machine import LEDGER_FIELDS, Config, Env, Machine, Place, Running, fire
from capsound.scenario import Several
from capsound.steps import CallVars, Ledger
from capsound_proofs.building import any_of, choice, constant, named, no
from capsound_proofs.folding import OUT, Step, folded
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.terms import TERMS, Term, conj, truth
from capsound_proofs.work import Work

FACTS = 30_000_000
"""The work to find the facts of all places: what the shipped scenarios need is below a tenth of it."""

KEPT = z3.Int("one.kept")
"""What an agent keeps to itself between its calls: any amount, since it is not summed up."""

Family = tuple[bool, int, int]
"""What processes that are interchangeable have in common (``Process.family``)."""

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


def place_of(machine: Machine, spot: Spot) -> Place:
    """Return the place of the machine that a spot is."""
    return machine.processes[spot.process].places[spot.at]


def spots_of(machine: Machine, groups: Mapping[Family, int]) -> Iterator[Spot]:
    """Yield every place at which an admitted call can be, and each again for calls whose agent crashed there.

    Of places that fold into one, the first stands for all.
    """
    for index in groups.values():
        process = machine.processes[index]
        for at in dict.fromkeys(folded(process.places)):
            if at != OUT:
                yield Spot(process.group, index, at)
                if machine.faults[2]:
                    yield Spot(process.group, index, at, dead=True)


def find_facts(
    machine: Machine, spots: Sequence[Spot], steps: Sequence[Step], shortfall: Fraction | None
) -> dict[Spot, list[Fact]]:
    """Return the facts of each place: all candidates, less those that one of the ``steps`` breaks."""
    live = [spot for spot in spots if not spot.dead]
    facts = {spot: _candidate_facts(place_of(machine, spot), shortfall) for spot in live}
    edges = list(_call_edges(machine, live, steps))
    work = Work(FACTS)
    changed = True
    while changed:
        changed = False
        for source, target, locals_, guard, after in edges:
            known = [f.of(locals_, 1) for f in facts[source]] if source is not None else []
            solver = work.solver()
            solver.add(truth(guard), *map(truth, known))
            while facts[target]:
                broken = any_of(*[no(truth(f.of(after, 1))) for f in facts[target]])
                answer = solver.check(broken)
                if answer == z3.unsat:
                    break
                if answer == z3.unknown:
                    kept: list[Fact] = []
                else:
                    model = solver.model()
                    kept = [f for f in facts[target] if model.holds(f.of(after, 1))]
                if len(kept) == len(facts[target]):
                    break
                facts[target] = kept
                changed = True
    return {spot: facts[Spot(spot.group, spot.process, spot.at)] for spot in spots}


def _candidate_facts(place: Place, shortfall: Fraction | None) -> list[Fact]:
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
    if shortfall is not None:
        n, d = shortfall.numerator, shortfall.denominator
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
    excess = largest_excess(costs)
    return [*facts, Fact((("over", -1),), excess)] if excess else facts


def _call_edges(
    machine: Machine, live: list[Spot], steps: Sequence[Step]
) -> Iterator[tuple[Spot | None, Spot, dict[str, Term], Term, dict[str, Term]]]:
    """Yield every step of a single call between two places, whatever its account looks like."""
    known = {(s.process, s.at): s for s in live}
    for step in steps:
        branch = step.branch
        source, target = known.get((branch.process, step.source)), known.get((branch.process, step.target))
        if target is None or branch.kind == "crash":
            continue
        config = _free_config(machine)
        chosen = fresh_call(source)
        guards: list[Term] = []
        running = Running(branch.place, call_vars(chosen) if source else new_call())
        config.running[branch.process] = running
        conditions = fire(machine, config, branch, Env(TERMS, drawer(guards)))
        if conditions != [False]:
            yield source, target, chosen, conj([*conditions, *guards]), locals_of(running.call)
    for spot, twin in forgotten(machine, live):
        chosen = fresh_call(spot)
        yield spot, twin, chosen, True, chosen


def forgotten(machine: Machine, spots: Iterable[Spot]) -> Iterator[tuple[Spot, Spot]]:
    """Yield where calls go on when a reset forgets what they hold: from which place, to which."""
    if all(place.keeps for process in machine.processes if process.clock for place in process.places):
        return
    for spot in spots:
        folds = folded(machine.processes[spot.process].places)
        place = place_of(machine, spot)
        for at in dict.fromkeys(folds[at] for _, at in place.twins):
            yield spot, replace(spot, at=at)


def _free_config(machine: Machine) -> Config:
    return resting(
        machine,
        [Ledger(**{name: named(f"free.{i}.{name}") for name in LEDGER_FIELDS}) for i in range(len(machine.accounts))],
    )


def resting(machine: Machine, ledgers: list[Ledger]) -> Config:
    """Return a state with these ledgers in which every slice is open and every process is done."""
    done = [Running(process.done) for process in machine.processes]
    return Config(ledgers, [1] * len(machine.accounts), done, [1] * len(machine.budget))


def fresh_call(spot: Spot | None) -> dict[str, Term]:
    """Return the variables of the call that one step moves."""
    prefix = spot.name if spot is not None else "new"
    values: dict[str, Term] = {name: named(f"one.{prefix}.{name}") for name in LOCALS}
    values["over"] = choice(values["bill"] > values["cover"], values["bill"] - values["cover"], constant(0))
    return values


def call_vars(chosen: dict[str, Term]) -> CallVars:
    """Return these variables as a call of the model."""
    return CallVars(
        size=chosen["size"],
        cover=chosen["cover"],
        bill=chosen["bill"],
        told=chosen["told"],
        seen=named("one.seen"),
        kept=KEPT,
    )


def new_call() -> CallVars:
    """Return a call that begins: of what its agent did before, nothing is known."""
    return CallVars(kept=KEPT)


def locals_of(call: CallVars) -> dict[str, Term]:
    """Return what is summed of a call: the inverse of ``call_vars``."""
    over = TERMS.ite(call.bill > call.cover, call.bill - call.cover, 0)
    return {"size": call.size, "cover": call.cover, "bill": call.bill, "told": call.told, "over": over}


def drawer(guards: list[Term]) -> Callable[[str, Term, Term | None], Term]:
    """Return a chooser that gives fresh variables and notes their bounds as guards."""
    used = 0

    def draw(name: str, lo: Term, hi: Term | None) -> Term:
        nonlocal used
        used += 1
        amount = named(f"draw.{name}{used}")
        guards.append(amount >= lo)
        if hi is not None:
            guards.append(amount <= hi)
        return amount

    return draw


def largest_excess(costs: CallCosts) -> int | None:
    """Return by how much a bill is above its estimate at most, None where that is not known from the ranges alone."""
    if costs.bounds.within_hold:
        return 0
    kinds = costs.cost.kinds if isinstance(costs.cost, Several) else (costs.cost,)
    most = 0
    for kind in kinds:
        estimate, bill = cost_ranges(replace(costs, cost=kind))
        if bill.hi is None:
            return None
        most = max(most, bill.hi - estimate.lo)
    return most


def cost_bounds(place: Place) -> tuple[dict[str, int], dict[str, int | None]]:
    """Return the smallest and the largest cover and bill of one call, where they are bounded."""
    assert place.costs is not None
    estimate, bill = cost_ranges(place.costs)
    lows = {"cover": estimate.lo, "bill": bill.lo, "told": bill.lo}
    highs = {"cover": estimate.hi, "bill": bill.hi, "told": bill.hi, "size": place.costs.size.hi}
    return lows, highs
