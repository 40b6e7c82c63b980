"""The steps of a machine as one relation: terms that are built once, and put at each step by one substitution.

Building terms takes far longer than solving them: each passes through Python. So every branch is fired once, on
variables that stand for any state, and a step of an unrolling is that relation with the variables of the step in
their place. What no branch changes keeps its first value in all states; what follows from that is folded before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from capsound.machine import LEDGER_FIELDS, Branch, Config, Env, Machine, fire, initial, thaw, width_of
from capsound.predicates import violates
from capsound.properties import Property
from capsound_proofs.building import all_of, choice, named, proposition
from capsound_proofs.terms import TERMS, Term, conj, integer, same, truth

Lemma = Callable[[Config], list[Term]]


@dataclass(slots=True)
class Draws:
    """The amounts that the environment chooses in one step: shared by all branches, since one is taken."""

    pool: list[Term] = field(default_factory=list)
    used: int = 0
    bounds: list[Term] = field(default_factory=list)
    names: list[Term] = field(default_factory=list)

    def begin(self) -> None:
        """Start a branch: it may use the pool from the front."""
        self.used = 0
        self.bounds = []
        self.names = []

    def __call__(self, _name: str, lo: Term, hi: Term | None) -> Term:
        """Return the next amount, bounded for the branch that asked."""
        if hi is not None and same(lo, hi):
            self.names.append(lo)
            return lo
        if self.used == len(self.pool):
            self.pool.append(named(f"draw{self.used}"))
        amount = self.pool[self.used]
        self.used += 1
        self.bounds.append(amount >= lo)
        if hi is not None:
            self.bounds.append(amount <= hi)
        self.names.append(amount)
        return amount


@dataclass(frozen=True, slots=True)
class Way:
    """One branch, from any state: the literal that selects it, its guard, what it draws, and what it changes."""

    branch: Branch
    literal: Term
    guard: Term
    draws: tuple[Term, ...]
    changes: Mapping[int, Term]


class Relation:
    """What one step of a machine does, from any state that a cap leads to."""

    def __init__(self, machine: Machine, cap: Term, lemma: Lemma | None = None) -> None:
        self.machine = machine
        self.first = initial(machine, cap).flat()
        self.now = [named(f"v{position}") for position in range(len(self.first))]
        self.draws = Draws()
        self.at = [first_of(machine, index) for index in range(len(machine.processes))]
        self.previous = _previous_in_group(machine)
        self.branches = list(machine.branches())
        self.ways, self.fixed = self._build()
        self.state = self._state(self.fixed)
        self._joined: dict[tuple[int, tuple[int, ...]], Term] = {}
        self._broken: dict[Property, Term] = {}
        facts = [fact for fact in lemma(self.state) if fact is not True] if lemma is not None else []
        self.lemma = all_of(*[truth(fact) for fact in facts]) if facts else None

    def _state(self, fixed: set[int]) -> Config:
        """Return any state: variables, but for what never changes."""
        values = [self.first[p] if p in fixed else self.now[p] for p in range(len(self.first))]
        return thaw(self.machine, tuple(values))

    def _build(self) -> tuple[list[Way], set[int]]:
        """Return all branches, and what none of them changes: assumed of everything, and given up where it is wrong."""
        fixed = set(range(len(self.first)))
        while True:
            ways = self._fired(fixed)
            changed = {position for way in ways for position in way.changes}
            if not changed & fixed:
                return ways, fixed
            fixed -= changed

    def _fired(self, fixed: set[int]) -> list[Way]:
        here = self._state(fixed)
        values = here.flat()
        ways: list[Way] = []
        for number, branch in enumerate(self.branches):
            at = here.running[branch.process].at
            conditions: list[Term] = [] if isinstance(at, int) else [at == branch.place]
            if isinstance(at, int) and at != branch.place:
                continue
            previous = self.previous.get(branch.process)
            if branch.place == 0 and previous is not None:
                conditions.append(here.running[previous].at != 0)
            after = here.fork(self.machine, branch)
            after.running[branch.process].at = branch.place
            self.draws.begin()
            conditions += fire(self.machine, after, branch, Env(TERMS, self.draws))
            guard = conj([*conditions, *self.draws.bounds])
            if guard is False:
                continue
            flat = after.flat()
            changes = {
                p: flat[p] for p in range(len(flat)) if flat[p] is not values[p] and not same(flat[p], values[p])
            }
            ways.append(Way(branch, proposition(f"way{number}"), guard, tuple(self.draws.names), changes))
        return ways

    def joined(self, position: int, taken: Sequence[Way]) -> Term:
        """Return a variable after a step, as the branch that is taken leaves it: one of ``taken``."""
        key = (position, tuple(id(way) for way in taken if position in way.changes))
        if key not in self._joined:
            value: Term = integer(self.now[position])
            for way in taken:
                if position in way.changes:
                    value = choice(way.literal, integer(way.changes[position]), value)
            self._joined[key] = value
        return self._joined[key]

    def broken(self, prop: Property) -> Term:
        """Return the term that says that a property is broken in any state."""
        if prop not in self._broken:
            self._broken[prop] = truth(violates(self.machine, self.state, prop, TERMS))
        return self._broken[prop]


def first_of(machine: Machine, index: int) -> int:
    """Return where the place of a process stands among the variables of a state."""
    return len(machine.accounts) * (len(LEDGER_FIELDS) + 1) + index * width_of(machine)


def soonest(machine: Machine) -> dict[tuple[int, int], int]:
    """Return after how many steps a process can be at a place at the earliest."""
    found: dict[tuple[int, int], int] = {}
    for index, process in enumerate(machine.processes):
        distance = {0: 0}
        frontier = [0]
        for turn in count():
            if turn == len(frontier):
                break
            at = frontier[turn]
            if at >= process.done:
                continue
            place = process.places[at]
            refused = place.refused if place.guarded else place.next
            for target in {place.next, refused, place.end, *dict(place.twins).values()}:
                if target not in distance:
                    distance[target] = distance[at] + 1
                    frontier.append(target)
        for at, steps in distance.items():
            found[index, at] = steps
    return found


def _previous_in_group(machine: Machine) -> dict[int, int]:
    """Return, for each agent but the first of its group, the one that has to move before it.

    Identical agents are interchangeable: any run can be renamed so that they start in order.
    """
    last: dict[tuple[bool, int, int], int] = {}
    previous: dict[int, int] = {}
    for index, process in enumerate(machine.processes):
        if process.family in last:
            previous[index] = last[process.family]
        last[process.family] = index
    return previous
