"""Asking an implementation something: one operation, or what an account says of itself; and what failed in that.

``LimitedAsker`` gives every question a time limit of its own. Whoever runs under another limit, or has awaited the
answer already, brings an ``Asker`` of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol, TypeVar, cast

from capsound.adapter import Adapter, Answer, Kind, NotOffered, ask, at_once, classify
from capsound_checker.programs.cancelling import is_cancelled
from capsound_checker.programs.failing import AdapterFailed as AdapterFailed
from capsound_checker.programs.record import NOT_OBSERVED, Observed, Record, account_id
from capsound_checker.programs.watch import Hung, limit

T = TypeVar("T")

NO_LOOP = "only `provider()` and `asyncio.sleep(0)` can be awaited here: no event loop is running"
SPIN = "wait for a lock of asyncio by `while lock.locked(): await asyncio.sleep(0)`"

_LOOPLESS = ("event loop", "create_future", "AsyncLibraryNotFound", "NoEventLoop", "used with future", "inside a task")
"""What exceptions say that come of the event loop which is missing."""

_CURES: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("AsyncLibraryNotFound", "NoEventLoop", "sniffio", "trio", "anyio"),
        "anyio and trio find no loop here either: let the adapter call the part of the library that waits for nothing",
    ),
    (
        ("run_in_executor", "to_thread", "_executor"),
        "what runs in another thread cannot be scheduled here: give the library a storage that does not block",
    ),
    (
        ("timeouts.", "wait_for", "asyncio.timeout"),
        "leave the time limit out of the adapter: `check` makes calls fail itself",
    ),
    (
        ("create_task", "ensure_future", "taskgroups.", "TaskGroup", "gather", "_GatheringFuture"),
        "await coroutines one by one instead of starting tasks: `check` runs each agent as a task of its own",
    ),
    (("tasks.sleep", "asyncio.sleep("), "wait by `asyncio.sleep(0)`, which needs no clock, and not for a time"),
    (("asyncio.run(", "run_until_complete"), "await the coroutine: the adapter itself is run as one"),
)
"""What the code did that needs a loop, and the cure: the first that fits is told."""


def cure_without_loop(seen: str) -> str:
    """Return the cure for code that needs an event loop; ``seen`` is what it waits for, or the code that failed."""
    return next((cure for signs, cure in _CURES if any(sign in seen for sign in signs)), SPIN)


_CLASSIFY = "list its class under `refused`, `rejected` or `stale` of the adapter"
_OBSERVE = "observe (spent, held, remaining)"


class ProviderError(Exception):
    """What the provider of the harness raises when a call fails; a library passes it on or wraps it."""


class Asker(Protocol):
    """Asks the implementation of a run, and tells where it hangs. Every method may raise ``AdapterFailed``."""

    def ask(self, operation: str, *args: Any) -> Answer:
        """Return the answer to one operation, which is never ``FAILED``."""
        ...

    def observed(self, number: int, *, quiet: bool = False) -> Observed:
        """Return what an account says of itself; nothing when it does not come back.

        One that is closed need not speak, nor (``quiet``) one that may just have been.
        """
        ...

    def read(self, what: str, read: Callable[[Any], T], number: int, *, quiet: bool = False) -> T | None:
        """Return what ``read`` gives of the scope of an account; None where nothing comes back, as above."""
        ...

    def unclassified(self, operation: str, answer: Answer) -> AdapterFailed:
        """Return the error for an exception that the adapter does not classify."""
        ...


class LimitedAsker:
    """Asks with a time limit on every question."""

    __slots__ = ("_adapter", "_record")

    def __init__(self, record: Record) -> None:
        self._record = record
        self._adapter = record.adapter

    def ask(self, operation: str, *args: Any) -> Answer:
        """Do as ``Asker`` says."""
        try:
            with limit(self._adapter.timeout):
                answer = ask(self._adapter, operation, *args)
        except Hung:  # the limit struck on the way out
            answer = Answer(Kind.HUNG)
        if answer.kind is Kind.HUNG:
            self._record.stall([self._record.current_agent])
        elif answer.kind is Kind.FAILED:
            raise self.unclassified(operation, answer)
        return answer

    def observed(self, number: int, *, quiet: bool = False) -> Observed:
        """Do as ``Asker`` says; one that books later is let come to rest before."""
        self._rest(number)
        return checked_observation(self, self._adapter, number, quiet=quiet)

    def _rest(self, number: int) -> None:
        """Wait for what an account has still to book, where it says that it books later. Raises ``AdapterFailed``."""
        record = self._record
        if self._adapter.eventual and not record.spoiled and number in record.scopes:
            answer = self.ask("rest", record.scopes[number])
            if answer.kind in (Kind.REFUSED, Kind.REJECTED, Kind.STALE):
                raise failed(
                    f"{type(self._adapter).__name__}.rest was {answer.kind}: {answer.why}",
                    "what has not been booked cannot be compared",
                    "let `rest` come back when all that was answered is booked",
                )

    def read(self, what: str, read: Callable[[Any], T], number: int, *, quiet: bool = False) -> T | None:
        """Do as ``Asker`` says."""
        record = self._record
        if record.spoiled:
            return None
        try:
            with limit(self._adapter.timeout):
                return cast("T", at_once(read(record.scopes[number]), what))
        except Hung:
            record.stall([record.current_agent])
        except Exception as error:
            if not quiet and not record.state.accounts[account_id(number)].closed:
                raise self.unclassified(what, classify(self._adapter, error)) from error
        return None

    def unclassified(self, operation: str, answer: Answer) -> AdapterFailed:
        """Do as ``Asker`` says."""
        return unclassified(self._adapter, operation, answer)


def checked_observation(asker: Asker, adapter: Adapter, number: int, *, quiet: bool, dimension: str = "") -> Observed:
    """Return what an account says of itself, in a further dimension where one is named.

    Raises ``AdapterFailed`` for what is no number of units.
    """
    what, read = _OBSERVE, adapter.observe
    if dimension:
        what, read = "observe_in", lambda scope: adapter.observe_in(scope, dimension)
    observed = asker.read(what, read, number, quiet=quiet) or NOT_OBSERVED
    for value in observed:
        if value is not None and type(value) is not int and not _counts(value):
            raise AdapterFailed(
                f"{type(adapter).__name__}.{what} returned {observed!r}",
                cause="that is no number of units",
                hint="return whole numbers of the smallest unit; convert in the adapter, exactly",
            )
    return observed


def _counts(value: object) -> bool:
    """Whether something can be compared with a balance; NaN compares with nothing."""
    return isinstance(value, int | float | Decimal | Fraction) and not isinstance(value, bool) and value == value


def unclassified(adapter: Adapter, operation: str, answer: Answer) -> AdapterFailed:
    """Return the error for an exception that the adapter does not classify."""
    cause, hint = "the adapter does not say what this exception means", _CLASSIFY
    if any(sign in answer.why for sign in _LOOPLESS):
        cause, hint = NO_LOOP, cure_without_loop(f"{answer.why}\n{answer.origin}")
    return failed(f"{type(adapter).__name__}.{operation} raised {answer.why}", cause, hint)


def failed(what: str, cause: str, hint: str) -> AdapterFailed:
    """Return an error whose cause and hint a test runner shows as well."""
    error = AdapterFailed(what, cause=cause, hint=hint)
    error.add_note(f"{cause}; {hint}")
    return error


def is_of_harness(error: BaseException) -> bool:
    """Whether an error comes from the provider or from a cancellation of ours, however often it was wrapped."""
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        if isinstance(step, ProviderError | GeneratorExit) or is_cancelled(step):
            return True
        seen.add(id(step))
        step = step.__cause__ or step.__context__
    return False


_SLIPS = (NameError, AttributeError, TypeError, LookupError, ImportError, NotImplementedError, AssertionError)
"""What a slip of the pen raises."""


def is_slip(adapter: Adapter, error: BaseException) -> bool:
    """Whether an error is the adapter's own mistake: raised in its file, and by no ``raise ... from``.

    What goes wrong while an adapter handles a failed call has that failure as its context, as what a library makes of
    the failure has. But nobody means to ask for an operation that is not offered, or for a name that does not exist.
    """
    if isinstance(error, NotOffered):
        return True
    if not isinstance(error, _SLIPS) or error.__cause__ is not None:
        return False
    return _raised_in(error.__traceback__) in _files(type(adapter))


def _raised_in(trace: TracebackType | None) -> str:
    """Return the file in which an error was raised."""
    file = ""
    while trace is not None:
        file, trace = trace.tb_frame.f_code.co_filename, trace.tb_next
    return file


def _files(adapter: type[Adapter]) -> set[str]:
    """Return the files in which an adapter and its bases are written."""
    files: set[str] = set()
    for cls in adapter.__mro__:
        if issubclass(cls, Adapter) and cls is not Adapter:
            try:
                files.add(inspect.getfile(cls))
            except (OSError, TypeError):  # a class that no file defines
                continue
    return files
