"""A history that ends with a response which nothing explains, and what is known of it before any moment."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, cast

from capsound_checker.histories.ranges import Range
from capsound_checker.histories.sequential import CREATES, Moment, Op, Operation, State, connected


def overlap(one: Operation, other: Operation) -> bool:
    """Return whether two operations may have been under way at one time."""
    return one.called <= (other.returned or one.called) and other.called <= (one.returned or other.called)


ENDS: Final = frozenset({"settle", "release", "forfeit", "close", "merge"})
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
class Past:
    """What is known of a moment: who had been called and had returned, what had been done, and what matters then."""

    called: Sequence[Op]
    returned: Collection[int]
    forced: Sequence[Op]
    within: Sequence[Op]


class FailedHistory:
    """A history that ends with a response which nothing explains, and what is known of it before any moment."""

    def __init__(
        self, failed: Op, moments: Sequence[Moment], operations: Sequence[Operation], strict: bool, complete: bool
    ) -> None:
        self.failed, self.moments, self.operations = failed, moments, operations
        self.strict, self.complete = strict, complete
        self.only = ""  # which balance is looked at, if not all are
        self._known: dict[tuple[int, str], Past] = {}
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

    def past(self, cut: int) -> Past:
        """Return what is known of the moment at which a window begins; the last one is remembered."""
        known = self._known.get((cut, self.only))
        if known is None:
            called = [m.op for m in self.moments[:cut] if not m.ends]
            returned = {m.op.index for m in self.moments[:cut] if m.ends}
            within = self._within(returned, {op.index for op in called})
            known = Past(called, returned, self._forced(cut), within)
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
        operations = self.operations
        others = [operations[o.index] for o in beside if o is not op]
        asked = any(o.do == "release" or o.outcome not in ("done", "pending") for o in others)
        return asked or any(overlap(operations[op.index], o) for o in others)

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
