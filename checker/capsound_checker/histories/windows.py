"""The shortest window: the least part of a history in which it can be seen that no order explains it.

``linearize`` names the first response that nothing explains, and all that came before may have to do with it. Here the
beginning is moved as late as it goes. A window is a stretch of time that ends with that response. *Whatever the
balances were when it began*, no order of what happened in it gives the answers that were given: so nobody has to read
what came before. Only who was open then is taken from before: accounts and holds, and the amounts of these. Of what
was under way when it began, nobody knows whether it had taken effect: both are tried. What cannot be explained in a
window cannot be in a longer one either, so that the latest beginning is found by halving.

Balances that could be anything are ranges (``Range``), and the rules of ``sequential`` run on them as on numbers.
Where a rule asks for what a range leaves open, it is cut in two and the rule is asked again, once for each part. This
loses nothing: what is available, held and spent when the window begins is independent, and a rule compares one of
them with a number at a time.

In the end each answer that changed nothing is left out, if what is left still has no explanation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from capsound_checker.histories.sequential import CREATES, Moment, Op, Operation, Spec, State, connected, starves

STEPS, IN_ALL = 40_000, 80_000
"""How many transitions are tried for one beginning before it is given up, and for all of them."""


@dataclass(frozen=True, slots=True)
class Window:
    """The positions of its operations, and whether no later beginning and no fewer answers would do.

    ``begin`` is the number of invocations and responses before it.
    """

    begin: int
    operations: tuple[int, ...]
    shortest: bool


# ------------------------------------------------------------------------------------------------- ranges


class _Open(Exception):
    """A rule has asked for what a range leaves open."""

    def __init__(self, asked: Range, at: float) -> None:
        self.asked, self.at = asked, at


class Range:
    """A whole number of which only the bounds are known; both belong to it.

    ``root`` and ``shift`` say of which range of the state it is a sum: the answer to a question narrows that one.
    """

    __slots__ = ("high", "low", "root", "shift")

    def __init__(
        self, low: float = -math.inf, high: float = math.inf, root: Range | None = None, shift: int = 0
    ) -> None:
        self.low, self.high, self.root, self.shift = low, high, root or self, shift

    def __add__(self, other: int | Range) -> Range:
        if isinstance(other, Range):  # what a closed account gives back; neither is asked for again
            return Range(self.low + other.low, self.high + other.high)
        return Range(self.low + other, self.high + other, self.root, self.shift + other)

    __radd__ = __add__

    def __sub__(self, other: int) -> Range:
        return self + -other

    def _below(self, number: float) -> bool:
        if self.high < number:
            return True
        if self.low >= number:
            return False
        raise _Open(self.root, number - self.shift)

    def __lt__(self, other: int) -> bool:
        return self._below(other)

    def __le__(self, other: int) -> bool:
        return self._below(other + 1)

    def __gt__(self, other: int) -> bool:
        return not self._below(other + 1)

    def __ge__(self, other: int) -> bool:
        return not self._below(other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Range) and (self.low, self.high) == (other.low, other.high)

    def __hash__(self) -> int:
        return hash((self.low, self.high))

    def __repr__(self) -> str:
        return f"{self.low}..{self.high}"


def after(op: Op, state: State, spec: Spec) -> Iterator[State]:
    """Yield the states after an operation, one for each way in which what is open can be; ``state`` if none is new."""
    left = [state]
    while left:
        now = left.pop()
        try:
            then = op.rule(op, now, spec)
        except _Open as asked:
            low, high = asked.asked.low, asked.asked.high
            left.append(_replaced(now, asked.asked, Range(asked.at, high)))
            left.append(_replaced(now, asked.asked, Range(low, asked.at - 1)))
            continue
        if then is not None:
            yield then if then is now else _rooted(then, now)


def _replaced(state: State, old: Range, new: Range) -> State:
    """Return a state with one range in the place of another."""
    out = dict(state)
    for key, value in state.items():
        parts: tuple[object, ...] = value or ()
        if any(part is old for part in parts):
            out[key] = cast("tuple[int, ...]", tuple(new if part is old else part for part in parts))
            break
    return out


def _rooted(then: State, now: State) -> State:
    """Make sums in a new state ranges of their own, which the next rule may narrow."""
    for key, value in then.items():
        if value is not None and key % 2 == 0 and value is not now.get(key):
            then[key] = tuple(Range(p.low, p.high) if isinstance(p, Range) and p.root is not p else p for p in value)  # type: ignore[misc,unused-ignore]
    return then


class _OutOfSteps(Exception):
    pass


@dataclass(slots=True)
class _Steps:
    """How many transitions may be tried."""

    most: int
    taken: int = 0

    def take(self, steps: int = 1) -> None:
        """Count some more; raises ``_OutOfSteps``."""
        self.taken += steps
        if self.taken > self.most:
            raise _OutOfSteps


@dataclass(slots=True)
class _Config:
    """Which operations under way have been linearized, and a state after them."""

    done: int
    state: State


class _Widest:
    """Configurations of which none is contained in another: as much linearized, and balances that are among its own."""

    def __init__(self, budget: _Steps) -> None:
        self.budget = budget
        self.known: dict[object, list[tuple[tuple[Range, ...], _Config]]] = {}

    def add(self, config: _Config, more: object = None) -> bool:
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

    def all(self) -> list[_Config]:
        """Return what is left, in the order in which it came."""
        return [config for group in self.known.values() for _, config in group]


def _within(one: Sequence[Range], other: Sequence[Range]) -> bool:
    return all(b.low <= a.low and a.high <= b.high for a, b in zip(one, other, strict=True))


# ------------------------------------------------------------------------------------------------- windows


def shortest(
    failed: Op, moments: Sequence[Moment], operations: Sequence[Operation], *, strict: bool, complete: bool
) -> Window | None:
    """Return the shortest window that ends with the response of ``failed``, which no order of ``moments`` explains.

    None where the search was given up before it had found any.
    """
    end = next(n for n, moment in enumerate(moments) if moment.ends and moment.op is failed) + 1
    history = _History(failed, moments[:end], operations, strict, complete)
    if not history.narrowed() or (found := _latest(history, end)) is None:
        history.only = ""
        return _latest(history, end)
    history.only = ""
    try:
        if history.explained(found.begin + 1, ()):
            return found
    except _OutOfSteps:
        return replace(found, shortest=False)
    return _latest(history, end) or replace(found, shortest=False)


def explained(
    failed: Op, moments: Sequence[Moment], operations: Sequence[Operation], cut: int, *, strict: bool, complete: bool
) -> bool | None:
    """Return whether the window from ``cut`` to the last of ``moments`` has an explanation; None where it is not known.

    The last of ``moments`` is the response of ``failed``. Each balance alone must have an explanation, and all of them.
    """
    history = _History(failed, moments, operations, strict, complete)
    try:
        if history.narrowed() and not history.explained(cut, ()):
            return False
        history.only = ""
        return history.explained(cut, ())
    except _OutOfSteps:
        return None


def _latest(history: _History, end: int) -> Window | None:
    """Return the window without an explanation that begins latest, without the answers that it can spare."""
    doubtful: set[int] = set()

    def explained(cut: int, without: Collection[int] = ()) -> bool:
        """Whether a window has an explanation; where that is not known in time it is taken for granted."""
        try:
            return history.explained(cut, without)
        except _OutOfSteps:
            doubtful.add(cut)
            return True

    late, size = end, 1  # the window at `late` has an explanation, the one at `early` has none
    early = max(0, end - size)
    while explained(early):
        if not early or history.left <= 0:
            return None
        late, size = early, 2 * size
        early = max(0, end - size)
    while late - early > 1:
        middle = (early + late) // 2
        if explained(middle):
            late = middle
        else:
            early = middle
    sure = late not in doubtful
    doubtful.clear()
    ops = history.past(early).within
    idle: set[int] = set()
    left = [[op.index for op in ops if op.passive and op is not history.failed]]
    while left:  # leave out all of them, or else each half of them
        some = left.pop()
        if some and not explained(early, idle.union(some)):
            idle.update(some)
        elif len(some) > 1:
            left += [some[len(some) // 2 :], some[: len(some) // 2]]
    kept = [op.index for op in ops if op.index not in idle]
    kept.sort(key=lambda index: (history.operations[index].called, index))
    return Window(early, tuple(kept), sure and not doubtful)


def _overlap(one: Operation, other: Operation) -> bool:
    return one.called <= (other.returned or one.called) and other.called <= (one.returned or other.called)


_ENDS: Final = frozenset({"settle", "release", "forfeit", "close", "merge"})
"""Which operations end a hold or an account."""

_MOVES: Final = {
    "spent": frozenset({"settle", "forfeit", "charge", "record"}),
    "held": frozenset({"reserve", "settle", "release", "forfeit", "extend"}),
}
"""Which operations move a balance that has nothing to do with what is available."""


def made_by(op: Op) -> int:
    """Return the key of what an operation creates."""
    return op.on if op.do == "open" else op.new


@dataclass(frozen=True, slots=True)
class _Past:
    """What is known of a moment: who had been called and had returned, what had been done, and what matters then."""

    called: Sequence[Op]
    returned: Collection[int]
    forced: Sequence[Op]
    within: Sequence[Op]


class _History:
    """A history that ends with a response which nothing explains, and what is known of it before any moment."""

    def __init__(
        self, failed: Op, moments: Sequence[Moment], operations: Sequence[Operation], strict: bool, complete: bool
    ) -> None:
        self.failed, self.moments, self.operations = failed, moments, operations
        self.strict, self.complete = strict, complete
        self.left = IN_ALL
        self.only = ""  # which balance is looked at, if not all are
        self._known: dict[tuple[int, str], _Past] = {}
        called = [moment.op for moment in moments if not moment.ends]
        done = {op.index for op in called if operations[op.index].outcome in ("done", "pending")}
        self.creator = {made_by(op): op for op in called if op.do in CREATES and op.index in done}
        reads = {op.do for op in called}
        self.forgets_held = not reads & {"free", "used"}  # else two balances are compared at once

    def narrowed(self) -> bool:
        """Look at one balance only, if that can be enough; return whether it can.

        Whatever else is asked of the operations in a window forbids orders, and allows none: what has no explanation
        without it has none. Guards are about what is available: where that is not looked at, all of them hold. But
        nobody may be taken for open who might have been closed, nor for told of what might have been ignored.
        """
        failed, do = self.failed, self.failed.do
        if do not in _MOVES:
            self.only = "" if do in ("used", "free") else "available"
            return bool(self.only)
        mine = [m.op for m in self.moments if not m.ends and failed.on in m.op.keys]
        if any(self._unsettled(op) or (op.do == "release" and not self.strict) for op in mine):
            return False
        if any(op.wide and failed.on == (op.new if op.do == "merge" else op.on) for op in mine):
            return False
        self.only = do
        return True

    def _unsettled(self, op: Op) -> bool:
        return op.do == "settle" and self.operations[op.index].outcome not in ("done", "pending")

    def forgotten(self, state: State) -> State:
        """Return a state of which the balances are not known; without guards where only one of them is looked at."""
        out = dict(state)
        for key, value in state.items():
            if value is None or key % 2:
                continue
            guards = self.only in ("", "available")
            available: object = Range() if guards else math.inf
            held: object = Range() if self.only == "held" or (not self.only and self.forgets_held) else value[1]
            spent: object = Range() if self.only in ("", "spent") else 0
            out[key] = cast("tuple[int, ...]", (available, held, spent, *value[3:]))
        return out

    def past(self, cut: int) -> _Past:
        """Return what is known of the moment at which a window begins; the last one is remembered."""
        known = self._known.get((cut, self.only))
        if known is None:
            called = [m.op for m in self.moments[:cut] if not m.ends]
            returned = {m.op.index for m in self.moments[:cut] if m.ends}
            within = self._within(returned, {op.index for op in called})
            known = _Past(called, returned, self._forced(cut), within)
            self._known = {(cut, self.only): known}
        return known

    def _within(self, returned: Collection[int], before: Collection[int]) -> list[Op]:
        """Return what matters to the failed operation in the window: in the order of invocation."""
        called = [m.op for m in self.moments if not m.ends]
        # Whoever changes nothing and was under way when the window began may have been right before it.
        rest = [op for op in called if op.index not in returned and not (op.passive and op.index in before)]
        if self.only == "available":
            rest = [op for op in rest if op.do not in ("spent", "held", "used")]
        elif self.only:
            moves = _MOVES[self.only]
            return [
                op
                for op in rest
                if self.failed.on in op.keys and (op.do == self.only or (op.do in moves and not op.passive))
            ]
        chosen = {op.index for op in connected(self.failed.keys, rest)}
        on_hold: dict[int, list[Op]] = {}
        for op in rest:
            for key in {op.on, op.new}:
                on_hold.setdefault(key, []).append(op)
        trivial = {o.index for o in rest if o.do == "sent" and not o.passive and not self._matters(o, on_hold[o.on])}
        return [op for op in rest if op.index in chosen and (op is self.failed or op.index not in trivial)]

    def _matters(self, op: Op, beside: Sequence[Op]) -> bool:
        """Whether it matters when a request left: somebody else asks for it, or nobody knows who of two was first."""
        said = self.operations
        others = [said[o.index] for o in beside if o is not op]
        asked = any(o.do == "release" or o.outcome not in ("done", "pending") for o in others)
        return asked or any(_overlap(said[op.index], o) for o in others)

    def explained(self, cut: int, without: Collection[int]) -> bool:
        """Whether some balances at ``cut``, and some order of what came then, explain all answers until the end."""
        ops = [op for op in self.past(cut).within if op.index not in without]
        if self.failed not in ops:
            return True
        budget = _Steps(min(STEPS, self.left), len(self.moments) // 100)  # to begin costs something as well
        try:
            return _Search(self, cut, ops, budget).explains()
        finally:
            self.left -= budget.taken

    def _forced(self, cut: int) -> list[Op]:
        """Return what had taken effect before ``cut``: what had returned, and what created anything that these name."""
        chosen: dict[int, Op] = {}
        left = [moment.op for moment in self.moments[:cut] if moment.ends]
        if self.only in _MOVES:  # whoever is not looked at is taken for being there
            left += [op for key, op in self.creator.items() if op.do not in _MOVES[self.only]]
        while left:
            op = left.pop()
            if op.index not in chosen:
                chosen[op.index] = op
                left += [self.creator[key] for key in op.keys if key in self.creator]
        return list(chosen.values())


class _Search:
    """The search for an explanation of one window."""

    def __init__(self, history: _History, cut: int, ops: Sequence[Op], budget: _Steps) -> None:
        self.history, self.cut, self.budget = history, cut, budget
        self.ops = {op.index: 1 << n for n, op in enumerate(ops)}
        self.spec = Spec(history.strict, history.complete)
        self.under_way: list[Op] = []
        self.configs = self._begin(ops)

    def _begin(self, ops: Sequence[Op]) -> list[_Config]:
        """Return how it may stand when the window begins: who is open, and what of what is under way was done."""
        history, operations = self.history, self.history.operations
        past = history.past(self.cut)
        forced = past.forced
        known = {op.index for op in forced}
        self.spec.born = {key for key, op in history.creator.items() if op.index in past.returned}
        keys = set().union(*(op.keys for op in ops))
        maybe = [op for op in forced if self._ambiguous(op, operations[op.index]) and not keys.isdisjoint(op.keys)]
        unsure = {op.index for op in maybe}
        keys.update(*(op.keys for op in maybe))
        state = self._standing([op for op in forced if op.index not in unsure], keys)
        self.under_way = [op for op in past.called if op.index in self.ops and op.index not in known]
        start = _Config(0, history.forgotten(state))
        for op in forced:
            start.done |= self.ops.get(op.index, 0)
        optional = [*self.under_way, *maybe]
        bits = {op.index: 1 << n for n, op in enumerate(optional)}
        found = _Widest(self.budget)
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
                    layer.append((tried | bits[op.index], _Config(done, made)))
        return self._distinct(found.all())

    def _came_before(self, op: Op, forced: Sequence[Op]) -> bool:
        """Whether an operation may have come before the end of its account or hold, which had returned by then.

        Of two that end a hold only one can have been right; but a settlement that was refused may have come second.
        """
        said = self.history.operations
        ended = [o for o in forced if o.do in _ENDS and not o.passive]
        ends = [o for o in ended if op.on == (o.new if o.do == "merge" else o.on)]
        if not all(_overlap(said[op.index], said[o.index]) for o in ends):
            return False
        if op.do in ("settle", "release", "forfeit"):
            return bool(ends) and all(said[o.index].outcome not in ("done", "pending") for o in ends)
        if op.do == "sent" and self.spec.strict and any(o.do == "release" for o in ends):
            return False  # what has left is not released
        return bool(ends) and op.do in ("extend", "sent", "charge", "record")

    def _ambiguous(self, op: Op, said: Operation) -> bool:
        """Whether what has returned may have changed nothing, or have changed what it seems not to."""
        if op.do == "settle":
            return said.outcome != "done" and not self.spec.complete
        return op.do in ("close", "merge", "release") and said.outcome == "done" and not self.spec.strict

    def _standing(self, forced: Sequence[Op], keys: Collection[int]) -> State:
        """Return who is open after operations that have all taken effect; their balances are not worked out."""
        history = self.history
        said = history.operations
        done = [op for op in forced if op.do == "settle" or said[op.index].outcome in ("done", "pending")]
        parent = {made_by(op): op.on if op.do == "delegate" else -1 for op in done if op.do in ("open", "delegate")}
        holds = {op.new: [op.on, op.amount, 0] for op in done if op.do == "reserve"}
        ended: set[int] = set()
        for op in done:
            if op.do in _ENDS:
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
        state.update((key, None) for key in ended if key in keys and key not in self.spec.born)
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
        kept: list[_Config] = []
        for config in self.configs:
            if config.done & bit:
                kept.append(config)
            else:
                self._due(op, config, kept)
        if op in self.under_way:
            self.under_way.remove(op)
        if op.do in CREATES and self.history.creator.get(made_by(op)) is op:
            self.spec.born.add(made_by(op))
        self.configs = self._distinct(kept)
        return bool(kept)

    def _due(self, op: Op, start: _Config, kept: list[_Config]) -> None:
        """Add each configuration after ``start`` in which ``op`` is linearized, and nothing else without need.

        What need is says ``linearize``: where ``op`` is allowed whatever the balances are, it says so for each of them.
        """
        lazy = self._plain()
        passive = sum(self.ops[o.index] for o in self.under_way if o.passive and o is not op)
        seen = _Widest(self.budget)
        left: list[tuple[_Config, int]] = [(start, -1)]  # and what was answered when `op` could have come already
        while left:
            config, covered = left.pop()
            answered = config.done & passive
            self.budget.take()
            ends = list(after(op, config.state, self.spec))
            if covered != answered:
                kept += [_Config(config.done | self.ops[op.index], end) for end in ends]
            if lazy and len(ends) == 1 and self._free(op, config.state) and not self._starves(op, config):
                covered = answered
                if answered == passive:
                    continue
            for other in self._relevant(op, config):
                self.budget.take()
                for then in after(other, config.state, self.spec):
                    following = self._answered(_Config(config.done | self.ops[other.index], then))
                    if not seen.add(following, covered):
                        continue
                    if following.done & self.ops[op.index]:
                        kept.append(following)
                    else:
                        left.append((following, covered))

    def _plain(self) -> bool:
        """Whether nothing under way closes an account, shares its hold with another, or uses what may not be there."""
        holds = [op.on for op in self.under_way if op.on & 1 and not op.passive]
        born = all(op.do == "open" or op.on in self.spec.born for op in self.under_way)
        return born and not any(op.wide for op in self.under_way) and len(set(holds)) == len(holds)

    def _free(self, op: Op, state: State) -> bool:
        """Whether an operation is allowed in a state whatever the balances are."""
        try:
            return op.rule(op, state, self.spec) is not None
        except _Open:
            return False

    def _starves(self, op: Op, config: _Config) -> bool:
        """Whether an operation might leave too little for what is under way, if the balances are the least."""
        try:
            return starves(op, config.state, self._left(op, config))
        except _Open:
            return True

    def _left(self, op: Op, config: _Config) -> list[Op]:
        """Return what is under way beside ``op``, and has not been linearized."""
        return [o for o in self.under_way if o is not op and not config.done & self.ops[o.index]]

    def _relevant(self, op: Op, config: _Config) -> list[Op]:
        """Return what is under way that can matter to ``op``, or to what has not been answered yet."""
        rest = self._left(op, config)
        return connected(op.keys.union(*(o.keys for o in rest if o.passive)), rest)

    def _answered(self, config: _Config) -> _Config:
        """Answer what changes nothing and is allowed whatever the balances are: that cannot be too early."""
        for op in self.under_way:
            if op.passive and not config.done & self.ops[op.index]:
                self.budget.take()
                if self._free(op, config.state):
                    config.done |= self.ops[op.index]
        return config

    def _distinct(self, configs: Sequence[_Config]) -> list[_Config]:
        found = _Widest(self.budget)
        for config in map(self._answered, configs):
            found.add(config)
        return found.all()
