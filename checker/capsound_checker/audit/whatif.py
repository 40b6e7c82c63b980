"""What another cap would have refused: the calls of a log, admitted anew by a gate that holds what it admits.

A call is refused where what counts at its admission, and its own estimate, exceed the cap. Of an admitted call counts
its hold, or its bill where that is larger, while it is under way; then its bill, what was settled where the log has no
bill, and all of its hold where it was written off. A refused call never counts. Every other call is made as the
log has it: nobody tries again, and what the log itself refused stays refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field

from capsound_checker.audit.moments import When


@dataclass(frozen=True, slots=True)
class Refusal:
    """The first call that a cap would have refused."""

    when: When
    root: str
    amount: int
    """Its estimate."""


@dataclass(frozen=True, slots=True)
class Supposed:
    """What would have been under a cap: amounts of the unit of the log, over all roots."""

    cap: int
    calls: int
    refused: int
    refused_billed: int
    """What the refused calls were billed in the log: at least."""
    refused_unknown: int
    """How many of the refused calls have no known bill."""
    billed: int
    """What the others were billed: at least."""
    overshoot: int
    """By how much a root would have exceeded the cap all the same, at most: some bills are above their estimates."""
    first: Refusal | None


@dataclass(slots=True)
class _Call:
    root: str
    held: int
    refused: int
    """One bit for each cap, that of the first being the lowest."""
    billed: int | None = None
    told: int | None = None
    open: bool = False
    kept: bool = False
    """Whether its hold counts, whatever was billed: while it is under way, and once it was written off."""

    @property
    def known(self) -> int | None:
        """What it cost, as far as the log knows."""
        return self.told if self.billed is None else self.billed

    @property
    def counts(self) -> int:
        """What of the cap it takes."""
        known = self.known or 0
        return max(self.held, known) if self.kept else known


@dataclass(slots=True)
class _Gate:
    """One cap, on each root."""

    cap: int
    taken: dict[str, int] = field(default_factory=dict)
    billed: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    refused_billed: int = 0
    refused_known: int = 0
    first: Refusal | None = None


@dataclass(slots=True)
class WhatIf:
    """The books of every supposed cap. ``memory`` is the number of resolved calls that are remembered.

    Memory is one record for each call under way and for each remembered one, and two numbers for each root and cap.
    """

    caps: InitVar[Sequence[int]]
    memory: int
    _gates: list[_Gate] = field(init=False)
    _calls: dict[str, _Call] = field(default_factory=dict)
    _recent: deque[str] = field(default_factory=deque)
    _count: int = 0

    def __post_init__(self, caps: Sequence[int]) -> None:
        self._gates = [_Gate(cap) for cap in caps]

    def reserve(self, root: str, hold: str, amount: int, when: When) -> None:
        """Admit a call, or refuse it, under each cap."""
        call = self._calls[hold] = _Call(root, amount, self._admit(root, amount, when), open=True, kept=True)
        self._changed(call, 0, None)

    def record(self, root: str, amount: int, when: When) -> None:
        """Admit a cost that was told after the fact: a call whose estimate is what it cost, at that moment."""
        self._changed(_Call(root, amount, self._admit(root, amount, when), told=amount), 0, None)

    def extend(self, hold: str, amount: int) -> None:
        """Let a call that is under way hold more: it is never refused then."""
        call = self._calls.get(hold)
        if call is not None and call.open:
            before = call.counts
            call.held += amount
            self._changed(call, before, call.known)

    def bill(self, hold: str, amount: int) -> None:
        """Count a bill, early or late."""
        call = self._calls.get(hold)
        if call is not None:
            before, known = call.counts, call.known
            call.billed = (call.billed or 0) + amount
            self._changed(call, before, known)

    def resolve(self, hold: str, told: int | None = None, *, written_off: bool = False) -> None:
        """End a call: ``told`` is what was settled, None where nothing was; ``written_off`` keeps all of its hold."""
        call = self._calls.get(hold)
        if call is None or not call.open:
            return
        before, known = call.counts, call.known
        call.open, call.kept, call.told = False, written_off, told
        self._changed(call, before, known)
        self._recent.append(hold)
        if len(self._recent) > self.memory:
            del self._calls[self._recent.popleft()]

    def _admit(self, root: str, amount: int, when: When) -> int:
        """Count a call, and return by which caps it is refused."""
        self._count += 1
        refused = 0
        for number, gate in enumerate(self._gates):
            if gate.taken.get(root, 0) + amount > gate.cap:
                refused |= 1 << number
                gate.refused += 1
                if gate.first is None:
                    gate.first = Refusal(when, root, amount)
        return refused

    def _changed(self, call: _Call, counted: int, known: int | None) -> None:
        """Take over what a call counts and cost now, in place of what it did before."""
        more, cost = call.counts - counted, (call.known or 0) - (known or 0)
        learnt = known is None and call.known is not None
        for number, gate in enumerate(self._gates):
            if call.refused >> number & 1:
                gate.refused_billed += cost
                gate.refused_known += learnt
            else:
                gate.taken[call.root] = gate.taken.get(call.root, 0) + more
                if cost:
                    gate.billed[call.root] = gate.billed.get(call.root, 0) + cost

    def results(self) -> tuple[Supposed, ...]:
        """Return what would have been, in the order in which the caps were given."""
        return tuple(
            Supposed(
                gate.cap,
                self._count,
                gate.refused,
                gate.refused_billed,
                gate.refused - gate.refused_known,
                sum(gate.billed.values()),
                max((billed - gate.cap for billed in gate.billed.values() if billed > gate.cap), default=0),
                gate.first,
            )
            for gate in self._gates
        )
