"""What an implementation has to offer (design section 5): the one thing that somebody else writes.

An adapter is a thin class over a budget library. It overrides the operations that the library has and leaves the
rest; what is not overridden is *not offered*, and whatever needs it is skipped by name. An operation returns
what the library returns and lets the library's exceptions out; the class attributes ``refused``, ``rejected``
and ``stale`` say what those exceptions mean, and ``Refused``, ``Rejected`` and ``Stale`` are there to be raised where
a library answers with a falsy value or with silence::

    class MyBudget(Adapter):
        refused = (mylib.OverBudget,)

        def open(self, cap):            return mylib.Budget(cap)
        def reserve(self, scope, amount): return scope.hold(amount)
        def settle(self, hold, actual): hold.commit(actual)
        def spent(self, scope):         return scope.spent

Amounts are whole numbers of one unit. A *scope* is whatever stands for an account, a *hold* whatever stands for a
reservation. Operations may be ``async def``.
"""

# ruff: noqa: ARG002  the arguments of an operation that is not offered are there to be read

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any, ClassVar, NoReturn

from capsound.errors import CapsoundError

Errors = tuple[type[BaseException], ...]


class Refused(Exception):
    """Raised by an adapter: the budget said no, and nothing has changed."""


class Rejected(Exception):
    """Raised by an adapter: a bad argument, or an operation that is not legal now."""


class Stale(Exception):
    """Raised by an adapter: the handle had already been used up."""


class NotOffered(CapsoundError):
    """An operation was asked for that the implementation does not have."""

    name = "not-offered"


class Gate(StrEnum):
    """What stands between an agent and the provider."""

    RESERVE = "reserve"  # reserve, send, settle
    CHARGE = "charge"  # check and debit at once, send; settled only where `settle` is offered
    CHECK = "check"  # ask whether it fits, send, record
    RECORD = "record"  # nothing before the call; it is recorded afterwards
    CALL = "call"  # the library itself calls the provider


class Kind(StrEnum):
    """How an operation ended: the distinction that decides verdicts (design section 5)."""

    DONE = "done"
    REFUSED = "refused"
    REJECTED = "rejected"
    STALE = "stale"
    HUNG = "hung"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one operation: what came back, or why nothing did."""

    kind: Kind
    value: Any = None
    why: str = ""
    origin: str = ""
    """Of an exception that is not classified: the innermost functions and lines of code that it came through."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Returned by ``delegate`` where the child may be given less or more than was asked for."""

    scope: Any
    amount: int


Provider = Callable[[], Awaitable[int]]
"""What ``call`` awaits to send a request, each time anew; it returns the bill, raises, or is cancelled."""


ASSUMABLE: Mapping[str, str] = {
    "A1": "no bill exceeds its hold",
    "affine": "every handle is used once, and only amounts are given as amounts",
}
"""What an implementation may assume, and still be judged: a verdict is relative to it."""


class Adapter:
    """Base of all adapters. A subclass overrides the operations that the implementation has.

    ``strict`` claims that every misuse is refused aloud: a handle that is used up, a bool or a float as an
    amount. Without the claim a second ``settle`` that changes nothing is taken for what it is: harmless.
    ``complete`` claims that whatever the model allows is allowed, beyond admission: to settle or forfeit a hold
    that was not sent, to send twice under one, to merge any two accounts of a root. Without it, a call that is
    ``rejected`` there is a limit of the library and no fault.
    ``threads`` claims that operations may run in several threads at once, ``handlers`` that one may run in the middle
    of another in the same thread, as in a signal handler; ``files`` names the source files of the implementation,
    inside which a thread may be preempted.
    ``assumes`` names what the implementation relies on its users and its provider for: ``A1``, that no bill exceeds its
    hold, and ``affine``, that every handle is used once and never copied. What goes wrong without is told apart.
    ``zero_is_unlimited`` says that a cap of 0, or a slice of 0, is one without a cap: none is opened then.
    ``eventual`` says that a call is booked after it has been answered, as gateways do: its balances are read only when
    ``rest`` has come back, which has to be offered then.
    ``window`` says over which time the cap holds, in the words of a file of caps: ``day``, ``week``, ``month`` (of
    ``timezone``), ``every 6 h``, ``sliding 24 h`` (in ``buckets``, where it moves in so many steps). Equal periods
    begin at whole multiples since 1970, or, where ``anchored``, when a root is opened. A bill counts in the window in
    which the provider billed it. ``expires`` is the age in seconds from which on a hold is let go whose request has not
    left.
    ``dimensions`` names what the caps of a scope limit, where that is more than one: ``("money", "tokens",
    "requests")``. Caps, estimates and bills are in the first, and know their size in the others (``sizes``); a call
    needs room in each. In ``requests`` every call counts one.
    ``timeout`` is how many seconds an operation may take; one that takes longer hangs, and no other does.
    """

    gate: ClassVar[Gate] = Gate.RESERVE
    refused: ClassVar[Errors] = ()
    rejected: ClassVar[Errors] = ()
    stale: ClassVar[Errors] = ()
    strict: ClassVar[bool] = False
    complete: ClassVar[bool] = False
    threads: ClassVar[bool] = False
    handlers: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()
    assumes: ClassVar[tuple[str, ...]] = ()
    timeout: ClassVar[float] = 2.0
    zero_is_unlimited: ClassVar[bool] = False
    eventual: ClassVar[bool] = False
    window: ClassVar[str] = ""
    timezone: ClassVar[str] = "UTC"
    buckets: ClassVar[int] = 0
    anchored: ClassVar[bool] = False
    expires: ClassVar[int] = 0
    dimensions: ClassVar[tuple[str, ...]] = ()

    def open(self, cap: int) -> Any:
        """Return a new root scope of ``cap`` units."""
        self._missing("open")

    def reserve(self, scope: Any, amount: int) -> Any:
        """Return a hold of ``amount``; raise one of ``refused`` when it does not fit."""
        self._missing("reserve")

    def sent(self, hold: Any) -> Any:
        """Take note that the request under ``hold`` leaves now."""
        self._missing("sent")

    def settle(self, hold: Any, actual: int) -> Any:
        """Resolve ``hold``: its calls cost ``actual``."""
        self._missing("settle")

    def extend(self, hold: Any, amount: int) -> Any:
        """Reserve ``amount`` more under ``hold``."""
        self._missing("extend")

    def release(self, hold: Any) -> Any:
        """Resolve ``hold`` unused: its request never left."""
        self._missing("release")

    def forfeit(self, hold: Any) -> Any:
        """Resolve ``hold`` as lost: its cost will never be known."""
        self._missing("forfeit")

    def check(self, scope: Any, amount: int) -> Any:
        """Return whether ``amount`` fits, and change nothing."""
        self._missing("check")

    def charge(self, scope: Any, amount: int) -> Any:
        """Check and debit ``amount`` at once; the result, if any, is handed to ``settle``."""
        self._missing("charge")

    def record(self, scope: Any, amount: int) -> Any:
        """Take note of ``amount`` spent, after the fact."""
        self._missing("record")

    def delegate(self, scope: Any, amount: int) -> Any:
        """Return a slice of ``amount``, or ``Granted`` where the amount may be another."""
        self._missing("delegate")

    def close(self, scope: Any) -> Any:
        """End ``scope``; what it has not spent goes back to where it came from."""
        self._missing("close")

    def merge(self, target: Any, source: Any) -> Any:
        """Move what is free in ``source`` into ``target``, and end ``source``."""
        self._missing("merge")

    def spent(self, scope: Any) -> int:
        """Return what ``scope`` itself has charged or written off, without its slices."""
        self._missing("spent")

    def held(self, scope: Any) -> int:
        """Return what unresolved holds keep; offering it says that it is already taken off ``remaining``."""
        self._missing("held")

    def remaining(self, scope: Any) -> int:
        """Return what ``scope`` says can still be used."""
        self._missing("remaining")

    def balances(self, scope: Any) -> Mapping[str, int]:
        """Return more balances of ``scope`` itself: any of granted, available, charged, forfeited, delegated, returned.

        Each is an exact claim, also after the scope has ended; what the library does not tell is left out.
        """
        self._missing("balances")

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        """Let the library itself admit a call, await ``provider()`` for each request it sends, and book the bills."""
        self._missing("call")

    def observe(self, scope: Any) -> tuple[int | None, int | None, int | None]:
        """Return ``spent``, ``held`` and ``remaining``, each ``None`` where it is not offered.

        Worth overriding only for speed, where the library tells all three at once.
        """
        cls = type(self)
        spent, held, remaining, coroutines = _TOLD.get(cls) or _told(cls)
        if coroutines:
            return (
                at_once(self.spent(scope), "spent") if spent else None,
                at_once(self.held(scope), "held") if held else None,
                at_once(self.remaining(scope), "remaining") if remaining else None,
            )
        return (
            self.spent(scope) if spent else None,
            self.held(scope) if held else None,
            self.remaining(scope) if remaining else None,
        )

    def journal(self, scope: Any) -> list[str]:
        """Return the JSON lines that the root of ``scope`` has written so far, in our vocabulary of events."""
        self._missing("journal")

    def rest(self, scope: Any) -> Any:
        """Come back when all that was answered is booked; needed by ``eventual`` alone."""
        self._missing("rest")

    def ceiling(self, scope: Any, cap: int) -> Any:
        """Return a scope with a cap of its own under ``scope``: a call on it needs room in both, and counts in both.

        Nothing is moved into it. What it says of itself is all that counts in it, its own ceilings included.
        """
        self._missing("ceiling")

    def observe_in(self, scope: Any, dimension: str) -> tuple[int | None, int | None, int | None]:
        """Return what ``observe`` returns, in one of ``dimensions`` other than the first."""
        self._missing("observe_in")

    def clock(self, now: int) -> Any:
        """Take the time from now on: ``now`` is in nanoseconds since 1970, always whole seconds, and never goes back.

        It is asked before ``open`` and whenever time passes. Where time stands still it may not be asked at all, so
        that an adapter begins with a moment of its own. One that does not offer it is given the clocks of Python,
        moved.
        """
        self._missing("clock")

    def reset(self, scope: Any) -> Any:
        """Begin a new window of a root, where the library does not look at a clock: asked when its window ends."""
        self._missing("reset")

    def _missing(self, operation: str) -> NoReturn:
        raise NotOffered(
            f"{type(self).__name__} does not offer {operation!r}",
            hint=f"override it where the implementation has it; it offers: {', '.join(sorted(offers(self)))}",
        )


OPERATIONS = (
    "open",
    "reserve",
    "sent",
    "settle",
    "extend",
    "release",
    "forfeit",
    "check",
    "charge",
    "record",
    "delegate",
    "close",
    "merge",
    "spent",
    "held",
    "remaining",
    "balances",
    "call",
    "journal",
    "rest",
)

HERE_OPERATIONS = ("clock", "reset", "ceiling", "observe_in")
"""What is asked only in the process of capsound: how a library is told that time passes, and several ceilings."""


def offers(adapter: Adapter | type[Adapter]) -> frozenset[str]:
    """Return the names of the operations that an adapter overrides."""
    cls = adapter if isinstance(adapter, type) else type(adapter)
    known = _OFFERS.get(cls)
    if known is None:
        known = frozenset(
            name for name in (*OPERATIONS, *HERE_OPERATIONS) if getattr(cls, name) is not getattr(Adapter, name)
        )
        _OFFERS[cls] = known
    return known


_OFFERS: dict[type[Adapter], frozenset[str]] = {}


def _told(cls: type[Adapter]) -> tuple[bool, bool, bool, bool]:
    """Return which of the three balances an adapter tells, and whether by a coroutine.

    It is remembered, since they are asked for after every step.
    """
    mine = offers(cls)
    coroutines = any(inspect.iscoroutinefunction(getattr(cls, name)) for name in ("spent", "held", "remaining"))
    _TOLD[cls] = told = "spent" in mine, "held" in mine, "remaining" in mine, coroutines
    return told


_TOLD: dict[type[Adapter], tuple[bool, bool, bool, bool]] = {}


def at_once(value: Any, operation: str) -> Any:
    """Return what was read, of a coroutine what it returns in the end. Raises ``RuntimeError`` where it waits."""
    if not inspect.iscoroutine(value):
        return value
    answer = _stepped(value, operation)
    if answer.kind is Kind.HUNG:
        raise RuntimeError(f"{operation} waits for something: what is read has to come back at once")
    return answer.value


def ask(adapter: Adapter, operation: str, *args: Any) -> Answer:
    """Do one operation to its end and classify how it ended; no exception of the library passes unclassified.

    A coroutine is stepped until it ends; one that waits for something that nobody will do is ``HUNG``.
    ``KeyboardInterrupt`` is the user's, and passes.
    """
    try:
        value = getattr(adapter, operation)(*args)
        if inspect.iscoroutine(value):
            return _stepped(value, operation)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit and GeneratorExit of a library are outcomes too
        return classify(adapter, error)
    return Answer(Kind.DONE, value)


def _stepped(coroutine: Coroutine[Any, Any, Any], operation: str) -> Answer:
    """Run a coroutine to its end; whatever else it raises, it raises."""
    for _ in range(_PATIENCE):
        try:
            coroutine.send(None)
        except StopIteration as end:
            return Answer(Kind.DONE, end.value)
    with contextlib.suppress(RuntimeError):  # it will not be closed either
        coroutine.close()
    return Answer(Kind.HUNG, why=f"{operation} was suspended {_PATIENCE} times")


def classify(adapter: Adapter, error: BaseException) -> Answer:
    """Return what an exception of the library means, by what the adapter declares of it."""
    why = f"{type(error).__name__}: {error}"
    if isinstance(error, TimeoutError) and getattr(error, "hung", False):
        return Answer(Kind.HUNG, why=why)
    for kind, own, declared in (
        (Kind.REFUSED, Refused, adapter.refused),
        (Kind.STALE, Stale, adapter.stale),
        (Kind.REJECTED, Rejected, adapter.rejected),
    ):
        if isinstance(error, (own, *declared)):
            return Answer(kind, why=why)
    return Answer(Kind.FAILED, why=why, origin=_origin(error))


_FRAMES = 4


def _origin(error: BaseException) -> str:
    """Return the innermost functions that an exception came through, each with its line of code."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    return "\n".join(f"{PurePath(frame.filename).stem}.{frame.name}: {frame.line or ''}" for frame in frames)


_PATIENCE = 1_000
