"""Ceilings: several caps over one call, each for good or for a day, in one small class.

A call needs room in its own ceiling and in each above it: it is admitted if it fits in all, and holds in all at once.
What is spent under a ceiling counts in those above. Nothing is moved into a ceiling, so that those under one parent may
together allow more than it does; it then refuses the rest.

    team = Ceiling(100_000_000, "team", period=today)      # micro-USD a day
    session = Ceiling(1_000_000, "session", team)          # and at most so much in one session and day
    with session.call(31_000) as hold:                     # BudgetRefused if one of the two has no room
        hold.sent()
        hold.settle(client.send(prompt).cost)              # any other way out: released before sent(), else forfeited

It claims ``overrun-bounded`` for the window that it keeps: in every period of every ceiling the true bills are at most
its cap, while no bill exceeds its hold. A new period forgets what was spent, and nothing that is held: a call that is
in flight then has room in the new period, and its cost counts there. A bill belongs to the moment at which the provider
billed it, which nobody here knows. Until it is settled its hold covers it, in either period.

What the claim rests on: as for ``Budget``, and that ``period`` never goes back (if it does, the later period goes on).
Not part of it: signal handlers that use the ceilings of the thread that they interrupt, and a Ctrl-C in the middle of
an operation.
"""

# ruff: noqa: SLF001  the handles of this module look into each other; nobody else does

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from threading import RLock
from typing import Any, Self

from capsound_reference import arithmetic
from capsound_reference.errors import BudgetRefused, CopyRefused, HoldSent, HoldUsed, as_amount


def today() -> date:
    """Return the day of the calendar, in UTC."""
    return datetime.now(UTC).date()


def _always() -> int:
    return 0


class _Handle:
    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> Any:
        """Refuse ``copy``, ``deepcopy`` and ``pickle``."""
        raise CopyRefused(f"a {type(self).__name__} cannot be copied or pickled", None, "", "share the handle itself")


class Ceiling(_Handle):
    """A cap in each period, and all that counts under it. Amounts are whole units; periods are compared with ``>``."""

    __slots__ = ("_available", "_began", "_held", "_lock", "_path", "_period", "_spent", "cap", "name")

    def __init__(
        self, cap: int, name: str = "root", parent: Ceiling | None = None, *, period: Callable[[], Any] | None = None
    ) -> None:
        self.name: str = name if parent is None else f"{parent.name}/{name}"
        self.cap = self._available = as_amount(cap, self.name)
        self._held = self._spent = 0
        self._period: Callable[[], Any] = period or (_always if parent is None else parent._period)
        self._began = self._period()
        self._path: tuple[Ceiling, ...] = (self, *(parent._path if parent is not None else ()))
        self._lock: RLock = parent._lock if parent is not None else RLock()  # one for all that share a root

    @property
    def balances(self) -> tuple[int, int, int]:
        """What is available, held and spent in the present period; the three add up to the cap. A debt is negative."""
        with self._lock:
            self._look()
            return self._available, self._held, self._spent

    def reserve(self, amount: int) -> CeilingHold:
        """Hold ``amount`` here and in each ceiling above, or raise ``BudgetRefused`` and change nothing."""
        wanted = as_amount(amount, self.name)
        with self._lock:
            for one in self._path:
                one._look()
                if not arithmetic.fits(one._available, wanted):
                    told = f"{one.name} has {max(0, one._available)} available, and {wanted} was asked for"
                    cure = "settle or release what is held, or wait for the next period"
                    raise BudgetRefused(told, wanted, one.name, cure)
            for one in self._path:
                one._available, one._held = arithmetic.hold(one._available, one._held, wanted)
            return CeilingHold(self, wanted)

    def call(self, amount: int) -> CeilingHold:
        """Reserve for a ``with`` block: on its way out the hold is resolved by what is known."""
        return self.reserve(amount)

    def _look(self) -> None:
        """Begin a new period, if there is one: what was spent is forgotten, what is held stays held."""
        now = self._period()
        if now > self._began:
            self._began = now
            self._available, self._held, self._spent = arithmetic.reset(self._available, self._held, self._spent)


class CeilingHold(_Handle):
    """What is held for one call in all of its ceilings; resolved once."""

    __slots__ = ("_ceiling", "_sent", "_used", "amount")

    def __init__(self, ceiling: Ceiling, amount: int) -> None:
        self._ceiling = ceiling
        self.amount = amount
        self._sent = False
        self._used = ""

    def sent(self) -> None:
        """Mark that the request leaves now; again for each retry."""
        with self._ceiling._lock:
            self._require("sent")
            self._sent = True

    def settle(self, actual: int) -> None:
        """Charge ``actual`` in full in every ceiling, in the period of this moment; an excess puts into debt."""
        self._resolve("settled", as_amount(actual, self._ceiling.name))

    def release(self) -> None:
        """Give the hold back unused; legal only before ``sent()``."""
        with self._ceiling._lock:
            self._require("released")
            if self._sent:
                told = f"a hold of {self._ceiling.name} cannot be released: its request has left"
                raise HoldSent(told, self.amount, self._ceiling.name, "settle it, or forfeit it")
            self._resolve("released", 0)

    def forfeit(self) -> None:
        """Write the hold off: the cost is unknown, so all of it counts as spent."""
        self._resolve("forfeited", self.amount)

    def _resolve(self, how: str, cost: int) -> None:
        with self._ceiling._lock:
            self._require(how)
            self._used = how
            for one in self._ceiling._path:
                one._look()
                books = arithmetic.settle(one._available, one._held, one._spent, self.amount, cost)
                one._available, one._held, one._spent = books

    def _require(self, verb: str) -> None:
        if self._used:
            told = f"a hold of {self._ceiling.name} cannot be {verb}: it was {self._used}"
            raise HoldUsed(told, self.amount, self._ceiling.name, "reserve again for the next call")

    def __enter__(self) -> Self:
        """Return the hold."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release what was not sent, forfeit what was: unless it was resolved in the block."""
        with self._ceiling._lock:
            if not self._used:
                self._resolve(*(("forfeited", self.amount) if self._sent else ("released", 0)))
