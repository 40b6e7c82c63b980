"""Primitive steps of counters that many share: in a database, a cache, or a file.

They are what people write where no single check-and-reserve is at hand: add first and look afterwards, compare and set,
a semaphore, a store that is down now and then. ``capsound.steps`` lists them beside the others.
"""

from __future__ import annotations

from functools import cache

from capsound.frames import Frame, Num, Step
from capsound.ghosts import admit, begin_window, resolve

# ------------------------------------------------------------------------------- add, look, take back


def _add(f: Frame) -> None:
    f.call.cover = f.costs.estimate(f)
    f.account.available = f.account.available - f.call.cover
    f.account.held = f.account.held + f.call.cover
    f.account.outstanding = f.account.outstanding + f.call.cover


def _take_back(f: Frame) -> None:
    f.account.held = f.account.held - f.call.cover
    f.account.available = f.account.available + f.call.cover


ADD = Step(
    "add",
    "the estimate is held before anybody has looked whether it fits",
    _add,
    tags=frozenset({"holds", "tries"}),
)
LOOK = Step(
    "look",
    "the call is admitted if all that was added fits together, else refused",
    begin_window,
    guard=lambda f: f.account.available >= 0,
    tags=frozenset({"admits"}),
)
TAKE_BACK = Step(
    "take-back",
    "what a refused call had added is available again",
    _take_back,
    tags=frozenset({"undoes"}),
)

# ------------------------------------------------------------------------------------ compare and set


def _see(f: Frame) -> None:
    f.call.seen = f.account.available


SEE = Step("see", "the agent reads what is available", _see, tags=frozenset({"reads-left"}))
CHECK_SEEN = Step(
    "check-seen",
    "the call is admitted if its estimate is at most what the agent has read, else refused",
    admit,
    guard=lambda f: f.call.seen >= f.costs.estimate(f),
    tags=frozenset({"admits", "needs-left"}),
)
UNCHANGED = Step(
    "unchanged",
    "goes on if what is available is still what the agent has read, else the call is refused",
    lambda _: None,
    guard=lambda f: f.account.available == f.call.seen,
    tags=frozenset({"needs-left"}),
)

# ------------------------------------------------------------------------------- a counter that lags


def _keep(f: Frame) -> None:
    f.call.kept = f.call.kept + f.call.cover


def _drop(f: Frame) -> None:
    f.call.kept = f.call.kept - f.call.cover
    resolve(f, 0, known=False)
    f.emit("release")


def _note(f: Frame) -> None:
    f.call.kept = f.call.kept + f.call.told
    resolve(f, f.call.told, known=True)
    f.emit("settle")


def _correct(f: Frame) -> None:
    f.call.kept = f.call.kept + f.call.told - f.call.cover
    resolve(f, f.call.told, known=True)
    f.emit("settle")


CHECK_LOCAL = Step(
    "check-local",
    "the call is admitted if its estimate fits into what is available, less what the agent has not written back",
    admit,
    guard=lambda f: f.account.available - f.call.kept >= f.costs.estimate(f),
    tags=frozenset({"admits"}),
)
KEEP = Step("keep", "the agent counts the estimate for itself, and tells nobody", _keep, tags=frozenset({"keeps"}))
DROP = Step(
    "drop",
    "the agent no longer counts the estimate of a call that was given up",
    _drop,
    tags=frozenset({"resolves", "needs-keep"}),
)
NOTE = Step(
    "note", "the agent counts the reported cost for itself, and tells nobody", _note, tags=frozenset({"resolves"})
)
CORRECT = Step(
    "correct",
    "the agent counts the reported cost in place of the estimate that it kept",
    _correct,
    tags=frozenset({"resolves", "needs-keep"}),
)


@cache
def flush(lag: int) -> Step:
    """Return the step that writes back what an agent has kept, once that is more than ``lag``."""

    def effect(f: Frame) -> None:
        late = f.call.kept > lag
        written = f.algebra.ite(late, f.call.kept, 0)
        f.account.charged = f.account.charged + written
        f.account.available = f.account.available - written
        f.call.kept = f.call.kept - written

    return Step(
        "flush",
        "the agent writes back what it has kept, if that is more than `lag`",
        effect,
        tags=frozenset({"flushes"}),
    )


# ---------------------------------------------------------------------------------------- a semaphore


@cache
def enter(slots: int) -> Step:
    """Return the step that takes one of so many slots."""

    def effect(f: Frame) -> None:
        f.account.lock = f.account.lock + 1

    return Step(
        "enter",
        "the agent waits until one of the account's `slots` is free, and takes it",
        effect,
        waits=lambda f: f.account.lock < slots,
        tags=frozenset({"slots"}),
    )


def _leave(f: Frame) -> None:
    f.account.lock = f.account.lock - 1


LEAVE = Step("leave", "the slot is free again", _leave, tags=frozenset({"slots"}))

# ---------------------------------------------------------------------------- what a child starts from


def _inherit(f: Frame) -> None:
    assert f.parent is not None
    assert f.child is not None
    amount = f.excess(f.parent.available, 0)
    f.parent.carved = f.parent.carved + amount
    f.child.granted = f.child.granted + amount
    f.child.available = f.child.available + amount
    f.emit("delegate", amount)


def _roll_up(f: Frame) -> None:
    assert f.parent is not None
    assert f.child is not None
    back = f.child.available
    spent = f.child.granted - f.child.returned - back
    f.child.returned = f.child.returned + back
    f.child.available = f.child.available - back
    f.parent.carved = f.parent.carved - back
    f.parent.delegated = f.parent.delegated + spent
    f.parent.available = f.parent.available - spent
    f.emit("close")


INHERIT = Step(
    "inherit",
    "the slice starts from what its parent has left, and the parent keeps it",
    _inherit,
    tags=frozenset({"inherits"}),
)
ROLL_UP = Step(
    "roll-up",
    "what a finished slice has spent is taken from its parent",
    _roll_up,
    guard=lambda f: f.child is not None and f.child.held == 0,
    tags=frozenset({"inherits"}),
)

# --------------------------------------------------------------------------------- how far an agent goes

MORE = Step(
    "more",
    "the agent makes one more call, or stops: as it likes",
    lambda _: None,
    guard=lambda f: f.draw("more", 0, 1) == 1,
)

# ------------------------------------------------------------------------------ a store that is down


def _down(f: Frame) -> Num:
    return f.draw("down", 0, 1)


CHECK_OR_ADMIT = Step(
    "check-or-admit",
    "as `check`, but while the store does not answer every call is admitted: it fails open",
    admit,
    guard=lambda f: f.algebra.either(f.account.available >= f.costs.estimate(f), _down(f) == 1),
    tags=frozenset({"admits"}),
)
CHECK_OR_REFUSE = Step(
    "check-or-refuse",
    "as `check`, but while the store does not answer every call is refused: it fails closed",
    admit,
    guard=lambda f: f.algebra.both(f.account.available >= f.costs.estimate(f), _down(f) == 0),
    tags=frozenset({"admits", "by-balance"}),
)
