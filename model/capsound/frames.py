"""What a primitive step works on: a ledger, a call, the choices of the environment, and an algebra.

A step only ever uses ``+ - * // >= <= ==`` on the values of its frame, and asks the frame's algebra for the rest
(``ite``, ``min``, ``max``): so it runs on integers and on z3 terms alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

Num = Any
"""An int, or a z3 integer term: whatever the frame is made of."""

Bool = Any
"""A bool, or a z3 Boolean term."""


class Algebra(Protocol):
    """What integers and z3 terms do not write alike."""

    def ite(self, condition: Bool, then: Num, otherwise: Num) -> Num:
        """Return ``then`` where the condition holds."""
        ...

    def both(self, left: Bool, right: Bool) -> Bool:
        """Return the conjunction."""
        ...

    def either(self, left: Bool, right: Bool) -> Bool:
        """Return the disjunction."""
        ...

    def negate(self, condition: Bool) -> Bool:
        """Return the negation."""
        ...

    def floordiv(self, value: Num, by: int) -> Num:
        """Return the quotient by a positive constant, rounded down."""
        ...


class IntAlgebra:
    """Plain integers: what the explorer and the replay compute with."""

    def ite(self, condition: bool, then: int, otherwise: int) -> int:
        """Return ``then`` where the condition holds."""
        return then if condition else otherwise

    def both(self, left: bool, right: bool) -> bool:
        """Return the conjunction."""
        return left and right

    def either(self, left: bool, right: bool) -> bool:
        """Return the disjunction."""
        return left or right

    def negate(self, condition: bool) -> bool:
        """Return the negation."""
        return not condition

    def floordiv(self, value: int, by: int) -> int:
        """Return the quotient by a positive constant, rounded down."""
        return value // by


@dataclass(slots=True)
class Ledger:
    """One account as a discipline keeps it, and below the line the ghosts that only the model sees.

    ``billed``: true bills of calls sent from here. ``settled``: the true bills of calls whose cost the ledger
    was told. ``lost``: those of calls given up. ``booked`` and ``outstanding``: what a sound ledger would
    have booked and held. ``carved``: what a sound ledger would have delegated. ``deficit``: by how much the bills
    of calls in flight or lost are above what they were admitted for; ``window``: the same, summed since the
    last admission.
    """

    available: Num = 0
    held: Num = 0
    charged: Num = 0
    forfeited: Num = 0
    delegated: Num = 0
    returned: Num = 0
    granted: Num = 0
    lock: Num = 0
    # ghosts
    billed: Num = 0
    settled: Num = 0
    lost: Num = 0
    booked: Num = 0
    outstanding: Num = 0
    carved: Num = 0
    deficit: Num = 0
    window: Num = 0


@dataclass(slots=True)
class CallVars:
    """One call in progress. ``cover`` is what it was admitted for, ``told`` what the provider reported.

    ``kept`` outlives the call: what its agent has not written back yet to a counter that many share.
    """

    size: Num = 0
    cover: Num = 0
    bill: Num = 0
    told: Num = 0
    seen: Num = 0
    kept: Num = 0


class Costs(Protocol):
    """What the environment may choose for one call (``capsound.costs``)."""

    def draw_size(self, frame: Frame) -> Num:
        """Choose what the estimate is made from."""
        ...

    def estimate(self, frame: Frame) -> Num:
        """Return the estimate of the request that the frame's call is for."""
        ...

    def draw_bill(self, frame: Frame) -> Num:
        """Choose what the provider bills for one request."""
        ...

    def draw_told(self, frame: Frame, bill: Num) -> Num:
        """Choose what the provider reports of that bill."""
        ...

    def chunk(self, frame: Frame) -> Num:
        """Return the largest bill of one chunk of a stream."""
        ...

    def draw_chunk(self, frame: Frame) -> Num:
        """Choose what one further chunk of a stream is billed."""
        ...

    def draw_tail(self, frame: Frame, left: int) -> Num:
        """Choose what an aborted stream is still billed."""
        ...


@dataclass(slots=True)
class Frame:
    """One block in execution: the account, the call, and the choices of the environment.

    ``draw(name, lo, hi)`` asks the environment for an amount from ``lo`` to ``hi`` (None: any). ``emit`` takes
    the kind of an event, the amount it is about, if any, and records it. ``parent`` and ``child`` are the two
    ends of a delegation.
    """

    algebra: Algebra
    account: Ledger
    call: CallVars
    costs: Costs
    draw: Callable[[str, Num, Num | None], Num]
    emit: Callable[..., None]
    parent: Ledger | None = None
    child: Ledger | None = None
    grant: Num = 0
    chunks_left: int = 0

    def minimum(self, left: Num, right: Num) -> Num:
        """Return the smaller of two amounts."""
        return self.algebra.ite(left <= right, left, right)

    def excess(self, amount: Num, over: Num) -> Num:
        """Return by how much ``amount`` is above ``over``, or zero."""
        return self.algebra.ite(amount > over, amount - over, 0)


@dataclass(frozen=True, slots=True)
class Step:
    """A primitive step. ``says`` is its meaning in one sentence."""

    name: str
    says: str
    effect: Callable[[Frame], None]
    guard: Callable[[Frame], Bool] | None = None
    waits: Callable[[Frame], Bool] | None = None
    tags: frozenset[str] = field(default_factory=frozenset)

    def __repr__(self) -> str:
        return self.name
