"""The primitive steps of which a discipline is made: one rule, one sentence, one effect.

Each step is written once and read three ways. The explorer runs it on integers, the solver on z3 terms, and
the documentation prints its sentence. ``capsound.frames`` says what a step may use.

Guards come first in a block. A guard that fails refuses the call; a ``waits`` guard that fails blocks the
agent until it holds.
"""

from __future__ import annotations

from capsound.frames import Algebra, Bool, CallVars, Costs, Frame, IntAlgebra, Ledger, Num, Step
from capsound.ghosts import admit, resolve
from capsound.ghosts import bill as charge
from capsound.stores import (
    ADD,
    CHECK_LOCAL,
    CHECK_OR_ADMIT,
    CHECK_OR_REFUSE,
    CHECK_SEEN,
    CORRECT,
    DROP,
    INHERIT,
    KEEP,
    LEAVE,
    LOOK,
    NOTE,
    ROLL_UP,
    SEE,
    TAKE_BACK,
    UNCHANGED,
    enter,
    flush,
)

__all__ = [
    "ADMIT",
    "CARVE",
    "CHECK",
    "CHECK_SPENT",
    "COPY",
    "COPY_ALL",
    "DEBIT",
    "EXTEND",
    "FORFEIT",
    "FORGET",
    "GIVE_BACK",
    "LOCK",
    "MOVE_ALL",
    "NEXT_CHUNK",
    "READ",
    "RELEASE",
    "RESERVE",
    "SEND",
    "SEND_STREAM",
    "SETTLE",
    "SETTLE_CAPPED",
    "STEPS",
    "TAIL",
    "UNLOCK",
    "WRITE",
    "Algebra",
    "Bool",
    "CallVars",
    "Costs",
    "Frame",
    "IntAlgebra",
    "Ledger",
    "Num",
    "Step",
]

# ----------------------------------------------------------------------------------------- admission


CHECK = Step(
    "check",
    "the call is admitted if its estimate is at most what the ledger has available, else refused",
    admit,
    guard=lambda f: f.account.available >= f.costs.estimate(f),
    tags=frozenset({"admits", "by-balance"}),
)
CHECK_SPENT = Step(
    "check-spent",
    "the call is admitted while recorded spend is below the cap, whatever its estimate",
    admit,
    guard=lambda f: f.account.available > 0,
    tags=frozenset({"admits", "by-balance"}),
)
ADMIT = Step(
    "admit",
    "the call is admitted without looking at the balance",
    admit,
    tags=frozenset({"admits"}),
)


# ------------------------------------------------------------------------------------------- the ledger


def _reserve(f: Frame) -> None:
    f.account.available = f.account.available - f.call.cover
    f.account.held = f.account.held + f.call.cover


def _settle(f: Frame) -> None:
    f.account.held = f.account.held - f.call.cover
    f.account.charged = f.account.charged + f.call.told
    f.account.available = f.account.available + f.call.cover - f.call.told
    resolve(f, f.call.told, known=True)
    f.emit("settle")


def _settle_capped(f: Frame) -> None:
    charged = f.minimum(f.call.told, f.call.cover)
    f.account.held = f.account.held - f.call.cover
    f.account.charged = f.account.charged + charged
    f.account.available = f.account.available + f.call.cover - charged
    resolve(f, f.call.told, known=True)
    f.emit("settle")


def _debit(f: Frame) -> None:
    f.account.charged = f.account.charged + f.call.told
    f.account.available = f.account.available - f.call.told
    resolve(f, f.call.told, known=True)
    f.emit("settle")


def _read(f: Frame) -> None:
    f.call.seen = f.account.charged


def _write(f: Frame) -> None:
    before = f.account.charged
    f.account.charged = f.call.seen + f.call.told
    f.account.available = f.account.available + before - f.account.charged
    resolve(f, f.call.told, known=True)
    f.emit("settle")


def _release(f: Frame) -> None:
    f.account.held = f.account.held - f.call.cover
    f.account.available = f.account.available + f.call.cover
    resolve(f, 0, known=False)
    f.emit("release")


def _forget(f: Frame) -> None:
    resolve(f, 0, known=False)
    f.emit("release")


def _forfeit(f: Frame) -> None:
    f.account.held = f.account.held - f.call.cover
    f.account.forfeited = f.account.forfeited + f.call.cover
    resolve(f, f.call.cover, known=False)
    f.emit("forfeit")


RESERVE = Step(
    "reserve",
    "the estimate is held: it is no longer available",
    _reserve,
    tags=frozenset({"holds"}),
)
SETTLE = Step(
    "settle",
    "the hold ends, the reported cost is charged in full, and what is left of the hold is available again",
    _settle,
    tags=frozenset({"resolves", "ends-hold"}),
)
SETTLE_CAPPED = Step(
    "settle-capped",
    "the hold ends and the reported cost is charged, but never more than the hold: an excess is dropped",
    _settle_capped,
    tags=frozenset({"resolves", "ends-hold"}),
)
DEBIT = Step(
    "debit",
    "the reported cost is charged against what is available",
    _debit,
    tags=frozenset({"resolves"}),
)
READ = Step(
    "read",
    "the agent reads how much has been spent",
    _read,
    tags=frozenset({"reads-spent"}),
)
WRITE = Step(
    "write",
    "the agent writes back what it read plus its reported cost",
    _write,
    tags=frozenset({"resolves", "needs-spent"}),
)
RELEASE = Step(
    "release",
    "the hold ends and all of it is available again",
    _release,
    tags=frozenset({"resolves", "ends-hold"}),
)
FORFEIT = Step(
    "forfeit",
    "the hold ends and all of it counts as spent, since the cost is unknown",
    _forfeit,
    tags=frozenset({"resolves", "ends-hold"}),
)
FORGET = Step(
    "forget",
    "the call is given up and nothing is charged for it",
    _forget,
    tags=frozenset({"resolves"}),
)


# ----------------------------------------------------------------------------------------- the provider


def _send(f: Frame) -> None:
    f.emit("send")
    bill = f.costs.draw_bill(f)
    charge(f, bill)
    f.emit("bill", bill)
    f.call.told = f.costs.draw_told(f, bill)


def _send_stream(f: Frame) -> None:
    f.emit("send")
    _next_chunk(f)


def _next_chunk(f: Frame) -> None:
    bill = f.costs.draw_chunk(f)
    charge(f, bill)
    f.emit("bill", bill)
    f.call.told = f.call.told + bill


def _extend(f: Frame) -> None:
    # No deficit is covered by this, as the monitor sees one covered: a chunk is never billed above its size, and one
    # is always held ahead, so that before the tail of a stream nothing is billed above what covers it.
    f.account.available = f.account.available - f.costs.chunk(f)
    f.account.held = f.account.held + f.costs.chunk(f)
    f.call.cover = f.call.cover + f.costs.chunk(f)
    f.account.outstanding = f.account.outstanding + f.costs.chunk(f)
    f.emit("extend")


def _tail(f: Frame) -> None:
    bill = f.costs.draw_tail(f, f.chunks_left)
    charge(f, bill)
    f.emit("bill", bill)
    f.call.told = f.call.told + bill


SEND = Step(
    "send",
    "the request leaves, and the environment decides what the provider truly bills",
    _send,
    tags=frozenset({"sends"}),
)
SEND_STREAM = Step(
    "send-stream",
    "the request leaves, and the first chunk of the reply is billed",
    _send_stream,
    tags=frozenset({"sends"}),
)
NEXT_CHUNK = Step(
    "next-chunk",
    "one more chunk of the reply is billed",
    _next_chunk,
    tags=frozenset({"chunk"}),
)
EXTEND = Step(
    "extend",
    "one more chunk is reserved if that much is available, else the stream is aborted",
    _extend,
    guard=lambda f: f.account.available >= f.costs.chunk(f),
    tags=frozenset({"extends"}),
)
TAIL = Step(
    "tail",
    "an aborted stream is still billed for what was under way",
    _tail,
    tags=frozenset({"tail"}),
)


# ---------------------------------------------------------------------------------- locks and delegation


def _take_lock(f: Frame) -> None:
    f.account.lock = 1


def _free_lock(f: Frame) -> None:
    f.account.lock = 0


LOCK = Step(
    "lock",
    "the agent waits until the account's lock is free, and takes it",
    _take_lock,
    waits=lambda f: f.account.lock == 0,
    tags=frozenset({"locks"}),
)
UNLOCK = Step(
    "unlock",
    "the account's lock is free again",
    _free_lock,
    tags=frozenset({"locks"}),
)


def _grant(f: Frame, amount: Num) -> None:
    assert f.parent is not None
    assert f.child is not None
    f.parent.carved = f.parent.carved + amount
    f.child.granted = f.child.granted + amount
    f.child.available = f.child.available + amount
    f.emit("delegate", amount)


def _take(f: Frame, amount: Num) -> None:
    assert f.parent is not None
    f.parent.available = f.parent.available - amount
    f.parent.delegated = f.parent.delegated + amount
    _grant(f, amount)


def _carve(f: Frame) -> None:
    _take(f, f.grant)


def _copy(f: Frame) -> None:
    _grant(f, f.grant)


def _move_all(f: Frame) -> None:
    assert f.parent is not None
    # A debt stays where it was made: nobody is granted less than nothing.
    _take(f, f.excess(f.parent.available, 0))


def _copy_all(f: Frame) -> None:
    assert f.parent is not None
    _grant(f, f.excess(f.parent.available, 0))


def _give_back(f: Frame) -> None:
    assert f.child is not None
    assert f.parent is not None
    back = f.child.available
    f.child.returned = f.child.returned + back
    f.child.available = f.child.available - back
    f.parent.delegated = f.parent.delegated - back
    f.parent.carved = f.parent.carved - back
    f.parent.available = f.parent.available + back
    f.emit("close")


CARVE = Step(
    "carve",
    "the slice leaves the parent if the parent has that much available, else it is refused",
    _carve,
    guard=lambda f: f.parent is not None and f.parent.available >= f.grant,
    tags=frozenset({"delegates"}),
)
COPY = Step(
    "copy",
    "the slice is granted, and the parent's own balance stays as it was",
    _copy,
    guard=lambda f: f.parent is not None and f.parent.available >= f.grant,
    tags=frozenset({"delegates"}),
)
GIVE_BACK = Step(
    "give-back",
    "what a finished slice has not spent moves back to its parent",
    _give_back,
    guard=lambda f: f.child is not None and f.child.held == 0,
    tags=frozenset({"closes"}),
)

MOVE_ALL = Step(
    "move-all",
    "all that a handle has available moves to a new handle",
    _move_all,
    tags=frozenset({"moves"}),
)
COPY_ALL = Step(
    "copy-all",
    "a new handle has all that the old one has available, and the old one keeps it",
    _copy_all,
    tags=frozenset({"moves"}),
)

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        CHECK,
        CHECK_SPENT,
        ADMIT,
        ADD,
        LOOK,
        SEE,
        CHECK_SEEN,
        UNCHANGED,
        CHECK_OR_ADMIT,
        CHECK_OR_REFUSE,
        CHECK_LOCAL,
        KEEP,
        RESERVE,
        SEND,
        SETTLE,
        SETTLE_CAPPED,
        DEBIT,
        READ,
        WRITE,
        RELEASE,
        FORFEIT,
        FORGET,
        TAKE_BACK,
        NOTE,
        CORRECT,
        DROP,
        flush(0),
        SEND_STREAM,
        NEXT_CHUNK,
        EXTEND,
        TAIL,
        LOCK,
        UNLOCK,
        enter(1),
        LEAVE,
        CARVE,
        COPY,
        GIVE_BACK,
        INHERIT,
        ROLL_UP,
        MOVE_ALL,
        COPY_ALL,
    )
}
