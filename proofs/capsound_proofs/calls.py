"""One call by itself: the places that it passes, and the linear facts that hold of it at each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import z3

from capsound.machine import LEDGER_FIELDS, Config, Env, Machine, Place, Running, fire
from capsound.steps import CallVars, Ledger
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.terms import TERMS, Term, conj, truth
from capsound_proofs.work import Work

FACTS = 30_000_000
"""The work to find the facts of all places: what the shipped scenarios need is below a tenth of it."""

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
    """Yield every place at which an admitted call can be, and each again for calls whose agent crashed there."""
    for index in groups.values():
        process = machine.processes[index]
        for at, place in enumerate(process.places):
            if place.kind == "call" and not place.draws_size:
                yield Spot(process.group, index, at)
                if machine.faults[2]:
                    yield Spot(process.group, index, at, dead=True)


def find_facts(
    machine: Machine, spots: Sequence[Spot], groups: Mapping[Family, int], shortfall: Fraction | None
) -> dict[Spot, list[Fact]]:
    """Return the facts of each place: all candidates, less those that some step of one call breaks."""
    live = [spot for spot in spots if not spot.dead]
    facts = {spot: _candidate_facts(place_of(machine, spot), shortfall) for spot in live}
    edges = list(_call_edges(machine, live, groups))
    work = Work(FACTS)
    changed = True
    while changed:
        changed = False
        for source, target, locals_, guard, after in edges:
            known = [f.of(locals_, 1) for f in facts[source]] if source is not None else []
            solver = work.solver()
            solver.add(truth(guard), *map(truth, known))
            while facts[target]:
                broken = z3.Or(*[z3.Not(truth(f.of(after, 1))) for f in facts[target]])
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
    return facts


def _call_edges(
    machine: Machine, live: list[Spot], groups: Mapping[Family, int]
) -> Iterator[tuple[Spot | None, Spot, dict[str, Term], Term, dict[str, Term]]]:
    """Yield every step of a single call between two places, whatever its account looks like."""
    known = {(s.process, s.at): s for s in live}
    for branch in machine.branches():
        process = machine.processes[branch.process]
        if groups.get(process.family) != branch.process or process.places[branch.place].kind != "call":
            continue
        source = known.get((branch.process, branch.place))
        config = _free_config(machine)
        chosen = fresh_call(source)
        guards: list[Term] = []
        running = Running(branch.place, call_vars(chosen) if source else CallVars())
        config.running[branch.process] = running
        conditions = fire(machine, config, branch, Env(TERMS, drawer(guards)))
        target = known.get((branch.process, place_after(running)))
        if target is None or conditions == [False]:
            continue
        yield source, target, chosen, conj([*conditions, *guards]), locals_of(running.call)


def _free_config(machine: Machine) -> Config:
    return resting(
        machine,
        [Ledger(**{name: z3.Int(f"free.{i}.{name}") for name in LEDGER_FIELDS}) for i in range(len(machine.accounts))],
    )


def resting(machine: Machine, ledgers: list[Ledger]) -> Config:
    """Return a state with these ledgers in which every slice is open and every process is done."""
    done = [Running(process.done) for process in machine.processes]
    return Config(ledgers, [1] * len(machine.accounts), done, [1, 1, 1])


def fresh_call(spot: Spot | None) -> dict[str, Term]:
    """Return the variables of the call that one step moves."""
    prefix = spot.name if spot is not None else "new"
    values: dict[str, Term] = {name: z3.Int(f"one.{prefix}.{name}") for name in LOCALS}
    values["over"] = z3.If(values["bill"] > values["cover"], values["bill"] - values["cover"], z3.IntVal(0))
    return values


def call_vars(chosen: dict[str, Term]) -> CallVars:
    """Return these variables as a call of the model."""
    return CallVars(
        size=chosen["size"],
        cover=chosen["cover"],
        bill=chosen["bill"],
        told=chosen["told"],
        seen=z3.Int("one.seen"),
    )


def locals_of(call: CallVars) -> dict[str, Term]:
    """Return what is summed of a call: the inverse of ``call_vars``."""
    over = TERMS.ite(call.bill > call.cover, call.bill - call.cover, 0)
    return {"size": call.size, "cover": call.cover, "bill": call.bill, "told": call.told, "over": over}


def place_after(running: Running) -> int:
    """Return where a step leads: known without solving, since each step is fired by itself."""
    assert isinstance(running.at, int)
    return running.at


def drawer(guards: list[Term]) -> Callable[[str, Term, Term | None], Term]:
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


def cost_bounds(place: Place) -> tuple[dict[str, int], dict[str, int | None]]:
    """Return the smallest and the largest cover and bill of one call, where they are bounded."""
    assert place.costs is not None
    estimate, bill = cost_ranges(place.costs)
    lows = {"cover": estimate.lo, "bill": bill.lo, "told": bill.lo}
    highs = {"cover": estimate.hi, "bill": bill.hi, "told": bill.hi, "size": place.costs.size.hi}
    return lows, highs
