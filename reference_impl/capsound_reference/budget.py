"""A budget that an application can use as it is: ``reserve`` before a call, ``settle`` after it.

It claims the guarantee ``overrun-bounded``: while no bill exceeds its hold, the true bills never exceed the
cap, nor those below a slice what the slice was granted, under any interleaving of threads and tasks, any tree
of slices, and any cancellation or error. Where a bill does exceed its hold it is charged in full, the account
is in debt and closed to admission, and the overshoot is at most the summed excess of calls in flight or lost.

What the claim rests on: ``sent()`` is called before the request leaves; ``settle`` is told what the provider
billed; one process (a budget cannot be copied, pickled or meaningfully forked). Not part of it yet: streaming
(extending a hold), merging slices, waiting for room without blocking an event loop (nothing here waits: what
does not fit is refused at once), and a journal that survives a crash of the process.

    budget = Budget(60_000)                # micro-USD, tokens, ...: whole units
    with budget.call(31_000) as hold:      # BudgetRefused if it does not fit: nothing has changed then
        hold.sent()
        reply = client.send(prompt)        # no lock is held here
        hold.settle(reply.cost)            # on any other way out: released before sent(), forfeited after
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import RLock
from typing import NoReturn, SupportsIndex


class BudgetError(Exception):
    """Base of all errors: ``amount`` that was asked for, ``account`` (its path), and ``cure``."""

    def __init__(self, message: str, amount: object, account: str, cure: str) -> None:
        super().__init__(message, amount, account, cure)
        self.message, self.amount, self.account, self.cure = message, amount, account, cure

    def __str__(self) -> str:
        return f"{self.message}; {self.cure}"


class BadAmount(BudgetError):
    """Something that is not a whole, non-negative number of units was given as an amount."""


class BudgetRefused(BudgetError):
    """The amount does not fit into what is available; nothing has changed."""


class BudgetClosed(BudgetError):
    """The budget was used after it had been closed."""


class BudgetBusy(BudgetError):
    """The budget cannot be closed yet: a hold is unresolved or a slice is open."""


class HoldSent(BudgetError):
    """A hold cannot be released once its request may have been billed."""


class HoldUsed(BudgetError):
    """A hold was used after it had been resolved; the message says how it was resolved first."""


class CopyRefused(BudgetError, TypeError):
    """A handle was copied or pickled: two handles of one capacity could both be spent."""


class HoldState(StrEnum):
    """Where a hold is in the life of its call."""

    HELD = "held"
    SENT = "sent"
    SETTLED = "settled"
    RELEASED = "released"
    FORFEITED = "forfeited"


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


class _Account:
    """The state of one budget, touched only under the lock of its root.

    Every change is computed first and then stored by one assignment that calls nothing, so that an exception
    (a ``KeyboardInterrupt`` too) finds the books as they were or as they will be, never in between.
    """

    def __init__(self, path: str, granted: int, parent: _Account | None) -> None:
        self.path = path
        self.parent = parent
        self.lock: RLock = RLock() if parent is None else parent.lock
        self.balances = Balances(granted, 0, 0, 0, 0, 0, granted)
        self.holds = 0
        self.slices = 0
        self.closed = False

    def admit(self, amount: int, verb: str) -> None:
        """Raise unless ``amount`` fits beside all that is settled, outstanding and delegated."""
        self.require_open(verb)
        free = self.balances.available
        if amount > free:
            debt = f"it is in debt by {-free}, and closed to admission until slices return enough"
            room = "settle or release what is held, close slices that are done, or ask for less"
            message = f"{self.path} cannot {verb} {amount}: {max(0, free)} is available"
            raise BudgetRefused(message, amount, self.path, debt if free < 0 else room)

    def require_open(self, verb: str) -> None:
        """Raise if the account is closed."""
        if self.closed:
            cure = "use its parent, or delegate a new slice"
            raise BudgetClosed(f"{self.path} cannot {verb}: it was closed", None, self.path, cure)


def _as_amount(value: object, account: str) -> int:
    """Return ``value`` if it is a whole, non-negative number; a bool is not, nor is a float, even 3.0."""
    cure = "give a whole number of the smallest unit, for example micro-USD instead of dollars"
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadAmount(f"{value!r} is not a whole number", value, account, cure)
    if value < 0:
        raise BadAmount(f"{value!r} is negative", value, account, cure)
    return value


class _Handle:
    """What ``Budget`` and ``Hold`` share: an account, and that there is no second handle of it."""

    __slots__ = ("_account",)

    def __init__(self, account: _Account) -> None:
        self._account = account

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse ``copy``, ``deepcopy`` and ``pickle``, which all come through here."""
        cure = "share the handle itself, or delegate() a slice to whoever needs a budget of their own"
        message = f"a {type(self).__name__} cannot be copied or pickled"
        raise CopyRefused(message, None, self._account.path, cure)


class Hold(_Handle):
    """A reservation of ``amount`` for one call; resolved once, by ``settle``, ``release`` or ``forfeit``."""

    __slots__ = ("_amount", "_cost", "_state")

    def __init__(self, account: _Account, amount: int) -> None:
        super().__init__(account)
        self._amount = amount
        self._cost = 0
        self._state = HoldState.HELD

    @property
    def amount(self) -> int:
        """What is held."""
        return self._amount

    @property
    def state(self) -> HoldState:
        """Where the hold is in the life of its call."""
        return self._state

    def sent(self) -> None:
        """Mark that the request leaves now; again for each retry under the same hold, if any."""
        with self._account.lock:
            self._require_unresolved("sent")
            self._state = HoldState.SENT

    def settle(self, actual: int) -> None:
        """Charge ``actual`` in full; the rest of the hold is available again, an excess puts into debt.

        Works before ``sent()`` too: a bill is proof that the request left, and is never turned away.
        """
        cost = _as_amount(actual, self._account.path)
        with self._account.lock:
            self._end(HoldState.SETTLED, charged=cost)

    def release(self) -> None:
        """Give the hold back unused; legal only before ``sent()``."""
        with self._account.lock:
            if self._state is HoldState.SENT:
                cure = "settle() it at what the provider billed, or forfeit() it if that will never be known"
                path = self._account.path
                message = f"the hold of {self._amount} on {path} cannot be released: it was sent"
                raise HoldSent(message, self._amount, path, cure)
            self._end(HoldState.RELEASED)

    def forfeit(self) -> None:
        """Write the hold off: the cost is unknown, so all of it counts as spent."""
        with self._account.lock:
            self._end(HoldState.FORFEITED, forfeited=self._amount)

    def _end(self, how: HoldState, charged: int = 0, forfeited: int = 0) -> None:
        """Resolve the hold; what is neither charged nor forfeited becomes available."""
        self._require_unresolved(how.value)
        account, old = self._account, self._account.balances
        new = replace(
            old,
            available=old.available + self._amount - charged - forfeited,
            held=old.held - self._amount,
            charged=old.charged + charged,
            forfeited=old.forfeited + forfeited,
        )
        account.balances, account.holds, self._cost, self._state = new, account.holds - 1, charged, how

    def _require_unresolved(self, verb: str) -> None:
        if self._state in (HoldState.HELD, HoldState.SENT):
            return
        first = f"settled at {self._cost}" if self._state is HoldState.SETTLED else self._state.value
        path = self._account.path
        message = f"the hold of {self._amount} on {path} cannot be {verb}: it had already been {first}"
        raise HoldUsed(message, self._amount, path, "reserve() a new hold for each call, and resolve it once")

    def __repr__(self) -> str:
        return f"<Hold {self._amount} on {self._account.path}: {self._state.value}>"


class Budget(_Handle):
    """A root of ``cap`` units, or a slice of one; safe to share between threads and tasks."""

    __slots__ = ()

    def __init__(self, cap: int, name: str = "root") -> None:
        super().__init__(_Account(name, _as_amount(cap, name), None))

    @property
    def path(self) -> str:
        """The names from the root down to this budget, joined by slashes."""
        return self._account.path

    def snapshot(self) -> Balances:
        """Return the balances of this account at one instant."""
        return self._account.balances

    def reserve(self, amount: int) -> Hold:
        """Hold ``amount`` for one call, or raise ``BudgetRefused`` and change nothing."""
        account = self._account
        wanted = _as_amount(amount, account.path)
        with account.lock:
            account.admit(wanted, "reserve")
            old, hold = account.balances, Hold(account, wanted)
            new = replace(old, available=old.available - wanted, held=old.held + wanted)
            account.balances, account.holds = new, account.holds + 1
        return hold

    @contextmanager
    def call(self, estimate: int) -> Iterator[Hold]:
        """Reserve ``estimate`` for the block; on every way out, resolve the hold if the block did not.

        Before ``sent()`` it is released. After it the cost is unknown (an error, a cancelled task, Ctrl-C, or
        a ``settle`` that was forgotten), and it is forfeited. A Ctrl-C between the reservation and the block
        strands the hold: capacity is lost then, never gained.
        """
        hold = self.reserve(estimate)
        try:
            yield hold
        finally:
            with self._account.lock:
                if hold.state is HoldState.HELD:
                    hold.release()
                elif hold.state is HoldState.SENT:
                    hold.forfeit()

    def delegate(self, amount: int, name: str) -> Budget:
        """Move ``amount`` into a slice of its own, or raise ``BudgetRefused`` and change nothing."""
        account = self._account
        wanted = _as_amount(amount, account.path)
        with account.lock:
            account.admit(wanted, "delegate")
            child = Budget(wanted, name)
            child._account = _Account(f"{account.path}/{name}", wanted, account)
            old = account.balances
            new = replace(old, available=old.available - wanted, delegated=old.delegated + wanted)
            account.balances, account.slices = new, account.slices + 1
        return child

    def close(self) -> None:
        """End this budget; a slice returns what is unspent to its parent, a debt stays where it was made.

        Raises ``BudgetBusy`` while a slice is open or a hold unresolved, even one of 0: it may yet be billed.
        """
        account, parent = self._account, self._account.parent
        with account.lock:
            account.require_open("close")
            old = account.balances
            if account.holds or account.slices:
                left = f"{account.holds} holds and {account.slices} slices are open"
                cure = "resolve every hold and close every slice below it first"
                raise BudgetBusy(f"{account.path} cannot close: {left}", None, account.path, cure)
            if parent is None:
                account.closed = True
                return
            back = max(0, old.available)
            mine = replace(old, available=old.available - back, returned=old.returned + back)
            up = parent.balances
            theirs = replace(up, available=up.available + back, delegated=up.delegated - back)
            slices = parent.slices - 1
            account.closed, account.balances, parent.balances, parent.slices = True, mine, theirs, slices

    def __repr__(self) -> str:
        return f"<Budget {self.path}: {self.snapshot()}>"
