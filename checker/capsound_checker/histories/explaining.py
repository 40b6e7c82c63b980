"""The search for an explanation of one window: some balances when it begins, and some order of what came then."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from capsound_checker.histories.pasts import ENDS, FailedHistory, made_by, overlap
from capsound_checker.histories.ranges import Range, Undecided, after
from capsound_checker.histories.sequential import CREATES, Op, Operation, Spec, State, connected, starves


class OutOfSteps(Exception):
    """The search has tried as many transitions as it may."""


@dataclass(slots=True)
class StepBudget:
    """How many transitions may be tried."""

    most: int
    taken: int = 0

    def take(self, steps: int = 1) -> None:
        """Count some more; raises ``OutOfSteps``."""
        self.taken += steps
        if self.taken > self.most:
            raise OutOfSteps


@dataclass(slots=True)
class Config:
    """Which operations under way have been linearized, and a state after them."""

    done: int
    state: State


class Widest:
    """Configurations of which none is contained in another: as much linearized, and balances that are among its own."""

    def __init__(self, budget: StepBudget) -> None:
        self.budget = budget
        self.known: dict[object, list[tuple[tuple[Range, ...], Config]]] = {}

    def add(self, config: Config, more: object = None) -> bool:
        """Take a configuration, unless it is contained in one that is known; return whether it was taken."""
        ranges: list[Range] = []
        parts: list[object] = [more, config.done]
        for key in sorted(config.state):
            parts.append(key)
            for part in config.state[key] or ():
                if isinstance(part, Range):
                    ranges.append(part)
                else:
                    parts.append(part)
        known = self.known.setdefault(tuple(parts), [])
        mine = tuple(ranges)
        self.budget.take(1 + len(known) // 40)  # to compare is quicker than to try
        if any(_within(mine, other) for other, _ in known):
            return False
        known[:] = [(other, c) for other, c in known if not _within(other, mine)]
        known.append((mine, config))
        return True

    def all(self) -> list[Config]:
        """Return what is left, in the order in which it came."""
        return [config for group in self.known.values() for _, config in group]


def _within(one: Sequence[Range], other: Sequence[Range]) -> bool:
    return all(b.low <= a.low and a.high <= b.high for a, b in zip(one, other, strict=True))


class Search:
    """The search for an explanation of one window."""

    def __init__(self, history: FailedHistory, cut: int, ops: Sequence[Op], budget: StepBudget) -> None:
        self.history, self.cut, self.budget = history, cut, budget
        self.ops = {op.index: 1 << n for n, op in enumerate(ops)}
        self.spec = Spec(history.strict, history.complete)
        self.under_way: list[Op] = []
        self.configs = self._begin(ops)

    def _begin(self, ops: Sequence[Op]) -> list[Config]:
        """Return how it may stand when the window begins: who is open, and what of what is under way was done."""
        history, operations = self.history, self.history.operations
        past = history.past(self.cut)
        forced = past.forced
        known = {op.index for op in forced}
        self.spec.created = {key for key, op in history.creator.items() if op.index in past.returned}
        keys = set().union(*(op.keys for op in ops))
        maybe = [op for op in forced if self._ambiguous(op, operations[op.index]) and not keys.isdisjoint(op.keys)]
        unsure = {op.index for op in maybe}
        keys.update(*(op.keys for op in maybe))
        state = self._standing([op for op in forced if op.index not in unsure], keys)
        self.under_way = [op for op in past.called if op.index in self.ops and op.index not in known]
        start = Config(0, history.forgotten(state))
        for op in forced:
            start.done |= self.ops.get(op.index, 0)
        optional = [*self.under_way, *maybe]
        bits = {op.index: 1 << n for n, op in enumerate(optional)}
        found = Widest(self.budget)
        layer = [(0, start)]
        while layer:
            tried, config = layer.pop()
            if not found.add(config, tried):
                continue
            for op in optional:
                if tried & bits[op.index]:
                    continue
                self.budget.take()
                ends = list(after(op, config.state, self.spec))
                if not ends and self._came_before(op, forced):
                    ends.append(config.state)
                for then in ends:
                    made = history.forgotten(then)
                    done = config.done | self.ops.get(op.index, 0)
                    layer.append((tried | bits[op.index], Config(done, made)))
        return self._distinct(found.all())

    def _came_before(self, op: Op, forced: Sequence[Op]) -> bool:
        """Whether an operation may have come before the end of its account or hold, which had returned by then.

        Of two that end a hold only one can have been right; but a settlement that was refused may have come second.
        """
        operations = self.history.operations
        ended = [o for o in forced if o.do in ENDS and not o.passive]
        ends = [o for o in ended if op.on == (o.new if o.do == "merge" else o.on)]
        if not all(overlap(operations[op.index], operations[o.index]) for o in ends):
            return False
        if op.do in ("settle", "release", "forfeit"):
            return bool(ends) and all(operations[o.index].outcome not in ("done", "pending") for o in ends)
        if op.do == "sent" and self.spec.strict and any(o.do == "release" for o in ends):
            return False  # what has left is not released
        return bool(ends) and op.do in ("extend", "sent", "charge", "record")

    def _ambiguous(self, op: Op, operation: Operation) -> bool:
        """Whether what has returned may have changed nothing, or have changed what it seems not to."""
        if op.do == "settle":
            return operation.outcome != "done" and not self.spec.complete
        return op.do in ("close", "merge", "release") and operation.outcome == "done" and not self.spec.strict

    def _standing(self, forced: Sequence[Op], keys: Collection[int]) -> State:
        """Return who is open after operations that have all taken effect; their balances are not worked out."""
        history = self.history
        operations = history.operations
        done = [op for op in forced if op.do == "settle" or operations[op.index].outcome in ("done", "pending")]
        parent = {made_by(op): op.on if op.do == "delegate" else -1 for op in done if op.do in ("open", "delegate")}
        holds = {op.new: [op.on, op.amount, 0] for op in done if op.do == "reserve"}
        ended: set[int] = set()
        for op in done:
            if op.do in ENDS:
                ended.add(op.new if op.do == "merge" else op.on)
            elif op.do == "extend" and op.on in holds:
                holds[op.on][1] += op.amount
            elif op.do == "sent" and op.on in holds:
                holds[op.on][2] = 1
        open_holds = {key: hold for key, hold in holds.items() if key not in ended}
        state: State = {}
        for key, above in parent.items():
            mine = [hold[1] for hold in open_holds.values() if hold[0] == key]
            slices = [child for child, of in parent.items() if of == key and child not in ended]
            if key in keys and key not in ended:
                state[key] = 0, sum(mine), 0, len(mine) + len(slices), above
        state.update((key, tuple(hold)) for key, hold in open_holds.items() if key in keys)
        state.update((key, None) for key in ended if key in keys and key not in self.spec.created)
        return state

    def explains(self) -> bool:
        """Go through the window; return whether an order is left at its end."""
        for moment in self.history.moments[self.cut :]:
            op = moment.op
            if op.index not in self.ops:
                continue
            if not moment.ends:
                self.under_way.append(op)
                self.configs = self._distinct(self.configs)
            elif not self._respond(op):
                return False
        return True

    def _respond(self, op: Op) -> bool:
        """Demand that an operation is linearized; return whether that is possible."""
        bit = self.ops[op.index]
        kept: list[Config] = []
        for config in self.configs:
            if config.done & bit:
                kept.append(config)
            else:
                self._due(op, config, kept)
        if op in self.under_way:
            self.under_way.remove(op)
        if op.do in CREATES and self.history.creator.get(made_by(op)) is op:
            self.spec.created.add(made_by(op))
        self.configs = self._distinct(kept)
        return bool(kept)

    def _due(self, op: Op, start: Config, kept: list[Config]) -> None:
        """Add each configuration after ``start`` in which ``op`` is linearized, and nothing else without need.

        What need is says ``linearize``: where ``op`` is allowed whatever the balances are, it says so for each of them.
        """
        lazy = self._plain()
        passive = sum(self.ops[o.index] for o in self.under_way if o.passive and o is not op)
        seen = Widest(self.budget)
        left: list[tuple[Config, int]] = [(start, -1)]  # and what was answered when `op` could have come already
        while left:
            config, covered = left.pop()
            answered = config.done & passive
            self.budget.take()
            ends = list(after(op, config.state, self.spec))
            if covered != answered:
                kept += [Config(config.done | self.ops[op.index], end) for end in ends]
            if lazy and len(ends) == 1 and self._free(op, config.state) and not self._starves(op, config):
                covered = answered
                if answered == passive:
                    continue
            for other in self._relevant(op, config):
                self.budget.take()
                for then in after(other, config.state, self.spec):
                    following = self._answered(Config(config.done | self.ops[other.index], then))
                    if not seen.add(following, covered):
                        continue
                    if following.done & self.ops[op.index]:
                        kept.append(following)
                    else:
                        left.append((following, covered))

    def _plain(self) -> bool:
        """Whether nothing under way closes an account, shares its hold with another, or uses what may not be there."""
        holds = [op.on for op in self.under_way if op.on & 1 and not op.passive]
        exist = all(op.do == "open" or op.on in self.spec.created for op in self.under_way)
        return exist and not any(op.wide for op in self.under_way) and len(set(holds)) == len(holds)

    def _free(self, op: Op, state: State) -> bool:
        """Whether an operation is allowed in a state whatever the balances are."""
        try:
            return op.rule(op, state, self.spec) is not None
        except Undecided:
            return False

    def _starves(self, op: Op, config: Config) -> bool:
        """Whether an operation might leave too little for what is under way, if the balances are the least."""
        try:
            return starves(op, config.state, self._left(op, config))
        except Undecided:
            return True

    def _left(self, op: Op, config: Config) -> list[Op]:
        """Return what is under way beside ``op``, and has not been linearized."""
        return [o for o in self.under_way if o is not op and not config.done & self.ops[o.index]]

    def _relevant(self, op: Op, config: Config) -> list[Op]:
        """Return what is under way that can matter to ``op``, or to what has not been answered yet."""
        rest = self._left(op, config)
        return connected(op.keys.union(*(o.keys for o in rest if o.passive)), rest)

    def _answered(self, config: Config) -> Config:
        """Answer what changes nothing and is allowed whatever the balances are: that cannot be too early."""
        for op in self.under_way:
            if op.passive and not config.done & self.ops[op.index]:
                self.budget.take()
                if self._free(op, config.state):
                    config.done |= self.ops[op.index]
        return config

    def _distinct(self, configs: Sequence[Config]) -> list[Config]:
        found = Widest(self.budget)
        for config in map(self._answered, configs):
            found.add(config)
        return found.all()
