"""The books of a monitor, opened: for those who judge a stretch of a log apart, and for those who put it in its place.

A stretch meets accounts that were opened before it, and makes holds that others resolve after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from capsound.amounts import AccountId
from capsound.live_books import LiveAccount, LiveHold, path_of
from capsound.monitor_fast import FastMonitor


@dataclass(frozen=True, slots=True)
class Change:
    """By how much the balances of an account have changed: what is available, held and billed, and its open holds.

    ``low`` is how far above or below what was available at first the least was that a reservation left; None where
    there was no reservation.
    """

    low: int | None
    available: int
    held: int
    billed: int
    holds: int


class CarriedMonitor(FastMonitor):
    """A monitor whose books can be taken out and put in."""

    __slots__ = ()

    # ------------------------------------------------------------------------------ of a stretch

    def meet(self, name: str, room: int) -> LiveAccount:
        """Take an account for a root with so much room, whatever it is."""
        account = LiveAccount(AccountId(name), AccountId(name), None, room, room)
        account.top = account
        self._accounts[account.id] = account
        return account

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """How many holds were made, sent, settled and resolved in any way."""
        return self._admitted, self._sent, self._settled, len(self._recent) + self.forgotten

    @property
    def made(self) -> dict[str, LiveHold]:
        """All holds that are known, by name."""
        return self._holds  # type: ignore[return-value]

    @property
    def sent(self) -> dict[str, LiveHold]:
        """The holds of all calls that are known."""
        return self._calls  # type: ignore[return-value]

    @property
    def latest(self) -> deque[LiveHold]:
        """The holds that were resolved and are remembered."""
        return self._recent

    def overlap(self) -> bool:
        """Return whether calls overlapped since this was asked the last time."""
        before, self._overlapped = self._overlapped, False
        return before

    def give_back(self, hold: LiveHold) -> None:
        """Let a hold that nothing was sent under go, as a release does."""
        account = hold.owner
        account.held -= hold.amount
        account.available += hold.amount
        self.resolve(hold)

    def resolve(self, hold: LiveHold) -> None:
        """Remember a hold as resolved."""
        self._resolved(hold)

    def one_gone(self) -> None:
        """Count an open hold less: it is elsewhere."""
        self._unresolved_holds -= 1

    # ------------------------------------------------------------------------------ of the whole

    def account(self, name: str) -> LiveAccount | None:
        """Return an account."""
        return self._accounts.get(AccountId(name))

    def fits(self, account: LiveAccount, change: Change) -> bool:
        """Return whether nothing is to be said of what changed: all that the fast lane asks of each event."""
        if change.low is not None and (
            account.available + change.low < 0
            or account.window != account.deficit
            or account.closed
            or account.top is None
            or account.top.below > account.top.granted
        ):
            return False
        if not change.billed:
            return True
        return not self._given_back and all(
            node.below + change.billed <= node.granted - node.returned for node in path_of(account)
        )

    def change(self, account: LiveAccount, change: Change) -> None:
        """Change the balances of an account."""
        granted = account.granted
        if change.low is not None and account.parent is None:
            self._approached = self._approached or 2 * (granted - account.available - change.low) >= granted
        account.available += change.available
        account.held += change.held
        account.charged -= change.available + change.held
        account.holds += change.holds
        account.billed += change.billed
        if change.billed:
            for node in path_of(account):
                node.below += change.billed

    def count(self, admitted: int, sent: int, settled: int, resolved: int, *, overlapped: bool) -> None:
        """Count what was judged elsewhere."""
        self._overlapped = self._overlapped or overlapped or bool(admitted and self._unresolved_holds)
        self._admitted += admitted
        self._sent += sent
        self._settled += settled
        self._unresolved_holds += admitted - resolved

    def at_line(self, line: int) -> None:
        """Note that the next reservation has the number of its line."""
        self._reserved = line - 1

    def put(self, hold: LiveHold) -> None:
        """Put in a hold, and its call."""
        self._holds[hold.id] = hold
        if hold.call is not None:
            self._calls[hold.call] = hold

    def forget(self, hold: LiveHold) -> None:
        """Forget a resolved hold, and its calls."""
        del self._holds[hold.id]
        if hold.call is not None:
            del self._calls[hold.call]
            self._forget_more(hold)

    def remember(self, resolved: Iterable[LiveHold]) -> None:
        """Remember these resolved holds, in their order, and no others."""
        kept = list(resolved)
        self._recent.clear()
        self._recent.extend(kept)

    def put_in_order(self) -> None:
        """Put holds in the order of their reservation."""
        ordered = sorted(self._holds.values(), key=lambda hold: hold.number)
        self._holds.clear()
        self._holds.update((hold.id, hold) for hold in ordered)
