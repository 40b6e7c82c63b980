"""A budget that an application can use as it is: ``reserve`` before a call, ``settle`` after it.

It claims the guarantee ``overrun-bounded``: while no bill exceeds its hold, the true bills never exceed the
cap, nor those below a slice what the slice was granted, under any interleaving of threads and tasks, any tree
of slices, and any cancellation or error. Where a bill does exceed its hold it is charged in full, the account
is in debt and closed to admission, and the overshoot is at most the summed excess of calls in flight or lost.

    budget = Budget(60_000)                # micro-USD, tokens, ...: whole units
    with budget.call(31_000) as hold:      # BudgetRefused if it does not fit: nothing has changed then
        hold.sent()
        reply = client.send(prompt)        # no lock is held here
        hold.settle(reply.cost)            # on any other way out: released before sent(), forfeited after

``async with`` does the same. A stream is paid for in steps, so that it need not be reserved at its longest. That
it may be given up in the middle rests on assumption A9: once aborted, it is billed for one chunk more at most. So
the hold stays two chunks ahead of what has come, one for the next and one for A9, and ``first`` is the prompt and
two chunks:

    with budget.call(first) as hold:
        hold.sent()
        for chunk in stream:
            try:
                hold.extend(chunk.cost_so_far + two_chunks - hold.amount)
            except BudgetRefused:          # the hold keeps what it has: one chunk more than what has come
                stream.abort()
                break
        hold.settle(stream.cost())         # what came is charged, finished or not

What the claim rests on: ``sent()`` is called before the request leaves; ``settle`` is told what the provider
billed; one process (a budget cannot be copied, pickled or meaningfully forked). Not part of it: waiting for room
(what does not fit is refused at once), and a journal that survives a crash of the machine (a line is handed to
``journal`` after its change; what ``journal`` does with it, and whether that is on disk, is its own affair).

One module, because that claim is about this text: each operation looks, computes and stores in one piece, the handles
look into each other to do so, and nobody else does.
"""

# ruff: noqa: SLF001  the handles of this module look into each other; nobody else does

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import count
from operator import call
from threading import RLock
from types import TracebackType
from typing import Final, Generic, NoReturn, SupportsIndex, TypeVar

from capsound_reference import arithmetic
from capsound_reference.errors import (
    BadName,
    BlockUsed,
    BudgetBusy,
    BudgetClosed,
    BudgetError,
    BudgetRefused,
    CopyRefused,
    HoldSent,
    HoldUsed,
    MergeRefused,
    as_amount,
    shown,
)
from capsound_reference.journal import Journal

T = TypeVar("T")
Line = dict[str, object]
NO_LINE: Final[Line] = {}


class HoldState(StrEnum):
    """Where a hold is in the life of its call."""

    HELD = "held"
    SENT = "sent"
    SETTLED = "settled"
    RELEASED = "released"
    FORFEITED = "forfeited"


# Looking a member up in its enum costs as much as taking the lock.
HELD: Final = HoldState.HELD
SENT: Final = HoldState.SENT
RELEASED: Final = HoldState.RELEASED
SETTLED: Final = HoldState.SETTLED


@dataclass(frozen=True, slots=True)
class Balances:
    """The balances of one account at one instant; all but ``granted`` add up to ``granted``.

    Only ``available`` is ever negative: a debt.
    """

    available: int
    held: int
    charged: int
    forfeited: int
    delegated: int
    returned: int
    granted: int


class _Root:
    """What the accounts of one root share.

    Every change of any of them is made like this, under ``lock``:

    1. remember ``turn``; look, judge, and compute all that will be stored;
    2. if ``turn`` is still the same, store it in one statement, ``turn + 1`` with it; else start again.

    Neither the comparison nor the statement calls anything or makes a container, so CPython runs nothing else in
    between: an exception from outside (Ctrl-C) finds the books as they were or as they will be, never half
    written. And a signal handler, or a ``finally`` of a generator that is collected as garbage, may itself use the
    budget in the middle of step 1, in the very thread that holds the lock. A lock that is not re-entrant would
    hang there, and a re-entrant one alone would let step 2 overwrite what they did: hence ``turn``.

    Where threads share one interpreter lock, ``turn`` would do without ``lock``: a thread is stopped only where a
    signal handler may run. The lock is for Pythons without one, and it keeps the journal in the order of changes.
    """

    __slots__ = ("call_ids", "calls", "hold_ids", "journal", "lock", "turn")

    def __init__(self, journal: Callable[[str], object] | None) -> None:
        self.lock = RLock()
        self.turn = 0
        self.journal = None if journal is None else Journal(journal)
        self.hold_ids, self.call_ids = count(1), count(1)
        self.calls: set[str] = set()  # the ids that were given to sent(); its own ids need no memory


class _Account:
    """The state of one budget. ``ended`` says what became of it, and is empty while it is open."""

    __slots__ = (
        *("available", "held", "charged", "forfeited", "delegated", "returned", "granted"),
        *("ended", "holds", "names", "parent", "path", "root", "slices"),
    )

    def __init__(self, path: str, granted: int, parent: _Account | None, root: _Root) -> None:
        self.path, self.parent, self.root = path, parent, root
        self.available = self.granted = granted
        self.held = self.charged = self.forfeited = self.delegated = self.returned = 0
        self.holds = self.slices = 0
        self.ended = "" if parent is None else "never delegated"
        self.names: dict[str, int] = {}

    def up(self) -> list[_Account]:
        """Return the account and its ancestors, up to the root."""
        # A list, and not a generator: a Ctrl-C that comes while one is being thrown away is lost.
        path: list[_Account] = []
        step: _Account | None = self
        while step is not None:
            path.append(step)
            step = step.parent
        return path

    def require_open(self, verb: str) -> None:
        """Raise if the account has ended."""
        if self.ended:
            raise BudgetClosed(*self.closed(verb))

    def closed(self, verb: str) -> tuple[str, None, str, str]:
        """Return the arguments of the error that says what became of the account."""
        cure = "use its parent, or delegate a new slice"
        return f"{self.path} cannot {verb}: it was {self.ended}", None, self.path, cure

    def admit(self, amount: int, verb: str, turn: int) -> None:
        """Raise unless ``amount`` fits beside all that is settled, outstanding and delegated."""
        journal, free = self.root.journal, self.available
        if journal is not None:
            journal.require(amount, self.path, verb)
        error: BudgetError
        if self.ended:
            error = BudgetClosed(*self.closed(verb))
        elif arithmetic.fits(free, amount):
            return
        else:
            debt = f"it is in debt by {shown(-free)}, and closed to admission until slices return enough"
            room = "settle or release what is held, close slices that are done, or ask for less"
            message = f"{self.path} cannot {verb} {shown(amount)}: {shown(max(0, free))} is available"
            error = BudgetRefused(message, amount, self.path, debt if free < 0 else room)
        if journal is not None:
            line = {"event": "refuse", "account": self.path, "amount": amount, "reason": error.message}
            if self.root.turn != turn:
                return  # judged by what no longer holds: the caller starts again
            journal.append(line)
            journal.flush(self.path)
        raise error

    def path_of(self, name: str) -> str:
        """Return a path for a new slice ``name`` that no other slice has had."""
        number = self.names[name] = self.names.get(name, 0) + 1
        return f"{self.path}/{name}" if number == 1 else f"{self.path}/{name}#{number}"

    def end(self, verb: str, target: _Account | None, how: str, line: Line) -> None:
        """End the account for good; what is free in it moves into ``target``, a debt stays where it was made."""
        root = self.root
        # The path may have any length, so that no single assignment can store it all. One call into C does it instead,
        # which calls nothing but our own slots and the journal's queue: nothing else is let in before it returns.
        run_all = deque[object](maxlen=0).extend
        with root.lock:
            while True:
                turn = root.turn
                if target is not None:
                    target.require_open(verb)
                self.require_open(verb)
                if self.holds or self.slices:
                    left = f"{self.holds} holds and {self.slices} slices are open"
                    cure = "resolve every hold and close every slice below it first"
                    raise BudgetBusy(f"{self.path} cannot {verb}: {left}", None, self.path, cure)
                after = {} if target is None else self.moved(target)
                steps: list[Callable[[], object]] = [
                    *[partial(setattr, *where, value) for where, value in after.items()],
                    partial(setattr, self, "ended", how),
                    partial(setattr, root, "turn", turn + 1),
                ]
                if self.parent is not None:
                    steps.append(partial(setattr, self.parent, "slices", self.parent.slices - 1))
                if root.journal is not None:
                    steps.append(partial(root.journal.append, line))
                calls = map(call, steps)
                if root.turn == turn:
                    run_all(calls)
                    break
            if root.journal is not None:
                root.journal.flush(self.path)

    def moved(self, target: _Account) -> dict[tuple[_Account, str], int]:
        """Return the balances after all that is free here has moved up, and down again into ``target``."""
        after: dict[tuple[_Account, str], int] = {}

        def add(account: _Account, balance: str, change: int) -> None:
            where = account, balance
            after[where] = (after[where] if where in after else getattr(account, balance)) + change

        back = arithmetic.give_back(self.available)
        down = target.up()
        for step in self.up():
            own = "available" if step is self else "delegated"
            add(step, own, -back)
            if step in down:  # the nearest common ancestor: the money never leaves it
                down = down[: down.index(step)]
                add(step, "available" if step is target else "delegated", back)
                break
            add(step, "returned", back)
        for step in down:
            add(step, "granted", back)
            add(step, "available" if step is target else "delegated", back)
        return after


class _Handle:
    """What all handles share: an account, and that there is no second handle of the same thing."""

    __slots__ = ("_account",)

    def __init__(self, account: _Account) -> None:
        self._account = account

    def _where(self) -> str:
        """Say what became of the handle."""
        return f"{self._account.path} {'was ' + self._account.ended if self._account.ended else 'is open'}"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse ``copy``, ``deepcopy`` and ``pickle``, which all come through here."""
        cure = "share the handle itself, or delegate() a slice to whoever needs a budget of their own"
        message = f"a {type(self).__name__} cannot be copied or pickled: {self._where()}"
        raise CopyRefused(message, None, self._account.path, cure)

    def __replace__(self, **_: object) -> NoReturn:
        """Refuse ``copy.replace`` (Python 3.13)."""
        self.__reduce_ex__(4)


class Hold(_Handle):
    """A reservation of ``amount`` for one call; resolved once, by ``settle``, ``release`` or ``forfeit``."""

    __slots__ = ("_amount", "_cost", "_id", "_state")

    def __init__(self, account: _Account, amount: int) -> None:
        self._account = account
        self._amount = amount
        self._state: HoldState = RELEASED  # a hold that is not admitted yet holds nothing
        self._id: str | None = None

    @property
    def amount(self) -> int:
        """What is held, or was."""
        return self._amount

    @property
    def state(self) -> HoldState:
        """Where the hold is in the life of its call."""
        return self._state

    @property
    def id(self) -> str:
        """A name that no other hold of this root has; given when it is first asked for, or first written."""
        if self._id is None:
            with self._account.root.lock:
                name = f"h{next(self._account.root.hold_ids)}"
                if self._id is None:
                    self._id = name
        return self._id

    def sent(self, call: str | None = None) -> str:
        """Mark that the request leaves now, and return the id of the call; again for each retry, if any.

        An id of your own must not have been given before in this root, nor look like ``c1``, ``c2``, ...
        """
        root, journal = self._account.root, self._account.root.journal
        with root.lock:
            if call is not None:
                self._require_new(call)
            while True:
                turn, state = root.turn, self._state
                if state is not HELD and state is not SENT:
                    raise self._used("sent")
                if call is None:
                    name = f"c{next(root.call_ids)}"
                else:  # taken before it is used: a Ctrl-C may waste an id, and never lets it be used twice
                    root.calls.add(name := call)
                line: Line = NO_LINE if journal is None else {"event": "send", "hold": self.id, "call": name}
                if root.turn == turn:
                    break
            self._state, root.turn = SENT, turn + 1
            if journal is not None:
                journal.append(line)
                journal.flush(self._account.path)
        return name

    def extend(self, amount: int) -> None:
        """Hold ``amount`` more for the same call, or raise ``BudgetRefused`` and keep what is held."""
        its = self._account
        root = its.root
        journal = root.journal
        wanted = as_amount(amount, its.path)
        with root.lock:
            while True:
                turn, state = root.turn, self._state
                if state is not HELD and state is not SENT:
                    raise self._used("extended")
                its.admit(wanted, "extend a hold by", turn)
                new = arithmetic.hold(its.available, its.held, wanted), self._amount + wanted, turn + 1
                line: Line = NO_LINE if journal is None else {"event": "extend", "hold": self.id, "amount": wanted}
                if root.turn == turn:
                    break
            (its.available, its.held), self._amount, root.turn = new
            if journal is not None:
                journal.append(line)
                journal.flush(its.path)

    def settle(self, actual: int) -> None:
        """Charge ``actual`` in full; the rest of the hold is available again, an excess puts into debt.

        Works before ``sent()`` too: a bill is proof that the request left, and is never turned away.
        """
        its = self._account
        root = its.root
        journal = root.journal
        if type(actual) is not int or actual < 0:
            actual = as_amount(actual, its.path)
        with root.lock:
            while True:
                turn, state = root.turn, self._state
                if state is not HELD and state is not SENT:
                    raise self._used("settled")
                books = arithmetic.settle(its.available, its.held, its.charged, self._amount, actual)
                new = books, its.holds - 1, SETTLED, actual, turn + 1
                line: Line = NO_LINE if journal is None else {"event": "settle", "hold": self.id, "amount": actual}
                if root.turn == turn:
                    break
            (its.available, its.held, its.charged), its.holds, self._state, self._cost, root.turn = new
            if journal is not None:
                journal.append(line)
                journal.flush(its.path)

    def release(self) -> None:
        """Give the hold back unused; legal only before ``sent()``."""
        self._end(RELEASED, legal=(HELD,))

    def forfeit(self) -> None:
        """Write the hold off: the cost is unknown, so all of it counts as spent."""
        self._end(HoldState.FORFEITED)

    def _end(self, how: HoldState, legal: tuple[HoldState, ...] = (HELD, SENT)) -> None:
        """Resolve the hold without a bill: what is held is available again, or written off."""
        its = self._account
        root = its.root
        journal = root.journal
        with root.lock:
            while True:
                turn, free, lost = root.turn, its.available, its.forfeited
                if self._state not in legal:
                    raise self._used(how.value)
                if how is RELEASED:
                    free, held = arithmetic.release(free, its.held, self._amount)
                else:
                    held, lost = arithmetic.forfeit(its.held, lost, self._amount)
                new = free, held, lost, its.holds - 1, how, turn + 1
                event = "release" if how is RELEASED else "forfeit"
                line: Line = NO_LINE if journal is None else {"event": event, "hold": self.id}
                if root.turn == turn:
                    break
            its.available, its.held, its.forfeited, its.holds, self._state, root.turn = new
            if journal is not None:
                journal.append(line)
                journal.flush(its.path)

    def _require_new(self, call: str) -> None:
        """Raise if ``call`` is no id, or if another call of this root has it or may get it."""
        taken = self._account.root.calls
        if not isinstance(call, str) or not call or call in taken or re.fullmatch("c[0-9]+", call):
            cure = "give every request an id of its own, or none: sent() then makes one up, c1, c2, ..."
            raise BadName(f"{shown(call)} cannot name a call, or is taken", None, self._account.path, cure)

    def _outcome(self) -> str:
        return f"settled at {shown(self._cost)}" if self._state is SETTLED else self._state.value

    def _where(self) -> str:
        now = "is" if self._state in (HELD, SENT) else "was"
        return f"the hold of {shown(self._amount)} on {self._account.path} {now} {self._outcome()}"

    def _used(self, verb: str) -> BudgetError:
        """Return the error that says why the hold cannot be ``verb``."""
        path, amount = self._account.path, self._amount
        message = f"the hold of {shown(amount)} on {path} cannot be {verb}: it "
        if self._state is SENT:
            cure = "settle() it at what the provider billed, or forfeit() it if that will never be known"
            return HoldSent(message + "was sent", amount, path, cure)
        cure = "reserve() a new hold for each call, and resolve it once"
        return HoldUsed(message + f"had already been {self._outcome()}", amount, path, cure)

    def __repr__(self) -> str:
        return f"<Hold {shown(self._amount)} on {self._account.path}: {self._state.value}>"


class Budget(_Handle):
    """A root of ``cap`` units, or a slice of one; safe to share between threads and tasks.

    ``journal`` is given a line of JSON for each change of the root and of everything below it, for example
    ``open(path, "a", buffering=1).write``. If it raises, nothing more is admitted anywhere below the root.
    """

    __slots__ = ()

    def __init__(self, cap: int, name: str = "root", journal: Callable[[str], object] | None = None) -> None:
        name = _as_name(name, "root")
        super().__init__(_Account(name, as_amount(cap, name), None, _Root(journal)))
        if (lines := self._account.root.journal) is not None:
            lines.append({"event": "open", "root": name, "cap": self._account.granted})
            lines.flush(name)

    @property
    def path(self) -> str:
        """The names from the root down to this budget, joined by slashes; the second ``a`` of a parent is ``a#2``."""
        return self._account.path

    def snapshot(self) -> Balances:
        """Return the balances of this account at one instant."""
        its = self._account
        with its.root.lock:
            return Balances(
                its.available, its.held, its.charged, its.forfeited, its.delegated, its.returned, its.granted
            )

    def reserve(self, amount: int) -> Hold:
        """Hold ``amount`` for one call, or raise ``BudgetRefused`` and change nothing."""
        its = self._account
        root = its.root
        journal = root.journal
        if type(amount) is not int or amount < 0:
            amount = as_amount(amount, its.path)
        hold = Hold(its, amount)
        try:
            with root.lock:
                while True:
                    turn = root.turn
                    if its.ended or journal is not None or not arithmetic.fits(its.available, amount):
                        its.admit(amount, "reserve", turn)
                    new = arithmetic.hold(its.available, its.held, amount), its.holds + 1, HELD, turn + 1
                    line = NO_LINE
                    if journal is not None:
                        line = {"event": "reserve", "account": its.path, "hold": hold.id, "amount": amount}
                    if root.turn == turn:
                        break
                (its.available, its.held), its.holds, hold._state, root.turn = new
                if journal is not None:
                    journal.append(line)
                    journal.flush(its.path)
            return hold
        except BaseException:
            if hold._state is HELD:  # a Ctrl-C or a failing journal: nobody will ever have this hold
                hold._end(RELEASED)
            raise

    def call(self, estimate: int) -> Call:
        """Reserve ``estimate`` for a block; on every way out, resolve the hold if the block did not.

        Before ``sent()`` it is released. After it the cost is unknown (an error, a cancelled task, Ctrl-C, or
        a ``settle`` that was forgotten), and it is forfeited. A Ctrl-C in the very instruction that leaves the
        block strands the hold: capacity is lost then, never gained.
        """
        return Call(self, estimate)

    def delegate(self, amount: int, name: str) -> Budget:
        """Move ``amount`` into a slice of its own, or raise ``BudgetRefused`` and change nothing."""
        its = self._account
        root = its.root
        journal = root.journal
        wanted, name = as_amount(amount, its.path), _as_name(name, its.path)
        child = Budget.__new__(Budget)
        below = child._account = _Account("", wanted, its, root)
        try:
            with root.lock:
                while True:
                    turn = root.turn
                    its.admit(wanted, "delegate", turn)
                    below.path = its.path_of(name)
                    new = arithmetic.delegate(its.available, its.delegated, wanted), its.slices + 1, "", turn + 1
                    line: Line = {"event": "delegate", "parent": its.path, "child": below.path, "amount": wanted}
                    if root.turn == turn:
                        break
                (its.available, its.delegated), its.slices, below.ended, root.turn = new
                if journal is not None:
                    journal.append(line)
                    journal.flush(its.path)
            return child
        except BaseException:
            if not below.ended:  # as in reserve()
                child.close()
            raise

    def slice(self, amount: int, name: str) -> Slice:
        """Delegate ``amount`` for a block, and close the slice at its end."""
        return Slice(self, amount, name)

    def close(self) -> None:
        """End this budget; a slice returns what is unspent to its parent, a debt stays where it was made.

        Raises ``BudgetBusy`` while a slice is open or a hold unresolved, even one of 0: it may yet be billed.
        """
        its = self._account
        its.end("close", its.parent, "closed", {"event": "close", "child": its.path})

    def merge(self, source: Budget) -> None:
        """Move what is free in ``source`` into this budget, through their nearest common ancestor; ``source`` ends.

        Its debt stays where it was made. Raises ``MergeRefused`` for this budget itself and for one of another
        root, ``BudgetBusy`` as ``close`` does; whatever has an open slice is busy, hence no ancestor of this one.
        """
        its = self._account
        if source is self or not isinstance(source, Budget) or source._account.root is not its.root:
            what = "itself" if source is self else f"{shown(source)}, which is no budget of its root"
            cure = "merge slices of one root; settle accounts between roots outside of any budget"
            raise MergeRefused(f"{its.path} cannot merge {what}", None, its.path, cure)
        line: Line = {"event": "merge", "target": its.path, "source": source.path}
        source._account.end("merge", its, f"merged into {its.path}", line)

    def __repr__(self) -> str:
        return f"<Budget {self.path}: {self.snapshot()}>"


class _Block(_Handle, Generic[T]):
    """What a ``with`` or an ``async with`` enters, once. Nothing here waits for anything."""

    __slots__ = ("_amount", "_budget", "_inside")

    def __init__(self, budget: Budget, amount: int) -> None:
        super().__init__(budget._account)
        self._budget, self._amount = budget, amount
        self._inside: T | None = None

    def __enter__(self) -> T:
        inside = None
        try:
            with self._account.root.lock:
                if self._inside is not None:
                    message, cure = f"this block was entered before: {self._where()}", "make a new one each time"
                    raise BlockUsed(message, self._amount, self._account.path, cure)
                inside = self._inside = self._start()
            return inside
        except BaseException:
            if inside is not None:  # a Ctrl-C before the block has begun
                self._finish()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._finish()
        except BudgetError as problem:
            # An error or a cancellation that is on its way says more than what it left behind.
            if error is None:
                raise
            error.add_note(str(problem))

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _start(self) -> T:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError


class Call(_Block[Hold]):
    """What ``Budget.call`` returns."""

    __slots__ = ()

    def _start(self) -> Hold:
        return self._budget.reserve(self._amount)

    def _finish(self) -> None:
        hold = self._inside
        if hold is not None:
            with self._account.root.lock:
                if hold._state is HELD:
                    hold.release()
                elif hold._state is SENT:
                    hold.forfeit()

    def _where(self) -> str:
        return "it is a call that has not begun" if self._inside is None else self._inside._where()


class Slice(_Block[Budget]):
    """What ``Budget.slice`` returns."""

    __slots__ = ("_name",)

    def __init__(self, budget: Budget, amount: int, name: str) -> None:
        super().__init__(budget, amount)
        self._name = name

    def _start(self) -> Budget:
        return self._budget.delegate(self._amount, self._name)

    def _finish(self) -> None:
        """Close the slice, unless the block did.

        Why a slice that is still busy stays open, instead of having its holds resolved here: whoever has such a
        hold may be in the middle of a call, and the bill is yet to come. Releasing it would admit others on money
        that is about to be spent; forfeiting it would take the handle from under a call that may still settle.
        Left open, the slice keeps its capacity aside until its handle is closed: lost at worst, never gained.
        """
        inside = self._inside
        if inside is not None:
            with self._account.root.lock:
                if not inside._account.ended:
                    inside.close()

    def _where(self) -> str:
        return "it is a slice that has not begun" if self._inside is None else self._inside._where()


def _as_name(name: object, account: str) -> str:
    """Return ``name`` if it can be a step of a path; paths are told apart by ``/`` and ``#``."""
    if isinstance(name, str) and name and not set("/#") & set(name):
        return str.__str__(name)
    cure = "give a name that is not empty and has no / or # in it"
    raise BadName(f"{shown(name)} cannot name a budget", None, account, cure)
