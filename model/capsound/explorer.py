"""The explorer: every schedule and every amount of a small scope, shortest counterexample first.

Breadth-first over the states of a machine, with a visited set; identical agents are interchangeable. What it
finds is complete for the scope it names, and independent of z3: the two must agree (design section 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from capsound.machine import LEDGER_FIELDS, Branch, Config, Env, Machine, fire, initial, thaw, width_of
from capsound.predicates import overshoot, violates
from capsound.properties import Property
from capsound.schedule import INTS, Choice, NeedDraw, Schedule, Script, settled


@dataclass(frozen=True, slots=True)
class Scope:
    """What "exhaustive" covers: ``amounts`` cuts every unbounded choice, ``states`` and ``depth`` the search."""

    amounts: int = 8
    states: int = 200_000
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Exploration:
    """What was found. ``complete`` is False when a bound of the scope cut the search.

    ``refused`` is a shortest run in which a process is refused that was watched.
    """

    distinct: int
    transitions: int
    depth: int
    complete: bool
    found: dict[Property, Schedule]
    worst_overshoot: int
    admitted: bool
    cut_amounts: bool = False
    refused: Schedule | None = None
    seen: frozenset[tuple[int, ...]] = field(default_factory=frozenset, repr=False)


@dataclass(slots=True)
class _Link:
    """How a state was reached: from which one, by which choice."""

    back: tuple[int, ...] | None
    choice: Choice | None
    cap: int


def explore(
    machine: Machine,
    properties: Iterable[Property],
    scope: Scope = Scope(),
    *,
    keep_states: bool = False,
    watched: frozenset[int] = frozenset(),
) -> Exploration:
    """Visit every reachable state of ``machine`` within ``scope``.

    For each property the shortest schedule that breaks it is returned: fewest steps, then fewest agents, then
    smallest amounts. ``watched`` are processes of which no call should be refused.
    """
    search = _Search(machine, tuple(properties), scope)
    search.watched = watched
    search.run()
    return Exploration(
        distinct=len(search.visited),
        transitions=search.transitions,
        depth=search.depth,
        complete=search.complete,
        found={prop: search.schedule(state) for prop, state in search.found.items()},
        worst_overshoot=search.worst,
        admitted=search.admitted,
        cut_amounts=search.cut_amounts,
        refused=search.refused,
        seen=frozenset(search.visited) if keep_states else frozenset(),
    )


class _Search:
    def __init__(self, machine: Machine, properties: tuple[Property, ...], scope: Scope) -> None:
        self.machine = machine
        self.properties = properties
        self.scope = scope
        self.visited: set[tuple[int, ...]] = set()
        self.links: dict[tuple[int, ...], _Link] = {}
        self.found: dict[Property, tuple[int, ...]] = {}
        self.transitions = 0
        self.depth = 0
        self.complete = True
        self.worst = 0
        self.admitted = False
        self.cut_amounts = False
        self.watched: frozenset[int] = frozenset()
        self.refused: Schedule | None = None
        self.by_place: dict[tuple[int, int], list[Branch]] = {}
        for branch in machine.branches():
            self.by_place.setdefault((branch.process, branch.place), []).append(branch)
        self.groups = _groups(machine)

    def run(self) -> None:
        level: list[tuple[int, ...]] = []
        for cap in self._caps():
            start = initial(self.machine, cap).flat()
            self.visited.add(self._canonical(start))
            self.links[start] = _Link(None, None, cap)
            level.append(start)
        while level:
            self._judge(level)
            if self.scope.depth is not None and self.depth >= self.scope.depth:
                self.complete = False
                return
            following: list[tuple[int, ...]] = []
            for state in level:
                for choice, after in self._successors(state):
                    self.transitions += 1
                    values = after.flat()
                    key = self._canonical(values)
                    if key in self.visited:
                        continue
                    if len(self.visited) >= self.scope.states:
                        self.complete = False
                        return
                    self.visited.add(key)
                    self.links[values] = _Link(state, choice, self.links[state].cap)
                    following.append(values)
            level = following
            self.depth += bool(level)

    def _caps(self) -> range:
        cap = self.machine.cap
        if cap.hi is None:
            self.cut_amounts = True
        return range(cap.lo, (self.scope.amounts if cap.hi is None else cap.hi) + 1)

    def _judge(self, level: list[tuple[int, ...]]) -> None:
        """Look for violations in one level; of several the one with fewest agents and smallest amounts."""
        best: dict[Property, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        for state in level:
            config = thaw(self.machine, state)
            self.worst = max(self.worst, overshoot(self.machine, config, INTS))
            for prop in self.properties:
                if prop in self.found or not violates(self.machine, config, prop, INTS):
                    continue
                moved = sum(r.at != 0 for r in config.running)
                amounts = config.ledgers[0].granted + sum(ledger.billed for ledger in config.ledgers)
                key = (moved, amounts, *state)
                if prop not in best or key < best[prop][0]:
                    best[prop] = (key, state)
        for prop, (_, state) in best.items():
            self.found[prop] = state

    def _successors(self, state: tuple[int, ...]) -> Iterator[tuple[Choice, Config]]:
        """Yield every step that is possible in a state; of identical untouched agents only the first moves."""
        config = thaw(self.machine, state)
        fresh: set[tuple[bool, int, int]] = set()
        for index, process in enumerate(self.machine.processes):
            at = config.running[index].at
            if at < 0 or at == process.done:
                continue
            if at == 0:
                if process.family in fresh:
                    continue
                fresh.add(process.family)
            for branch in self.by_place[index, at]:
                yield from self._outcomes(config, branch)

    def _outcomes(self, config: Config, branch: Branch) -> Iterator[tuple[Choice, Config]]:
        """Yield the outcome of a branch for every choice of the environment, smallest amounts first."""
        pending: list[tuple[int, ...]] = [()]
        kind = "run" if branch.kind == "refuse" else branch.kind
        while pending:
            draws = pending.pop()
            after = config.fork(self.machine, branch)
            emitted: list[str] = []
            env = Env(INTS, Script(draws), lambda kind, *_, emitted=emitted: emitted.append(kind))
            try:
                conditions = fire(self.machine, after, branch, env)
            except NeedDraw as need:
                hi = need.hi
                if hi is None:
                    hi = max(need.lo, self.scope.amounts)
                    self.cut_amounts = True
                pending.extend((*draws, value) for value in range(hi, need.lo - 1, -1))
                continue
            if settled(conditions):
                self.admitted = self.admitted or "reserve" in emitted
                choice = Choice(branch.process, kind, draws)
                if self.refused is None and branch.process in self.watched and "refuse" in emitted:
                    before = self.schedule(config.flat())
                    self.refused = Schedule(before.cap, (*before.choices, choice))
                yield choice, after

    def _canonical(self, values: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same key for states that differ only by a renaming of identical agents."""
        if not self.groups:
            return values
        out = list(values)
        for slots in self.groups:
            parts = sorted(values[a:b] for a, b in slots)
            for (a, b), part in zip(slots, parts, strict=True):
                out[a:b] = part
        return tuple(out)

    def schedule(self, state: tuple[int, ...]) -> Schedule:
        """Return the schedule that leads to a state."""
        choices: list[Choice] = []
        link = self.links[state]
        cap = link.cap
        while link.back is not None:
            assert link.choice is not None
            choices.append(link.choice)
            link = self.links[link.back]
        return Schedule(cap, tuple(reversed(choices)))


def _groups(machine: Machine) -> list[list[tuple[int, int]]]:
    """Return, for each group of interchangeable processes, where their variables are in a flat state."""
    width = width_of(machine)
    offset = len(machine.accounts) * (len(LEDGER_FIELDS) + 1)
    slots: dict[tuple[bool, int, int], list[tuple[int, int]]] = {}
    for index, process in enumerate(machine.processes):
        slots.setdefault(process.family, []).append((offset + index * width, offset + (index + 1) * width))
    return [group for group in slots.values() if len(group) > 1]
