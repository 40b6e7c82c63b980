"""The books of a long log: accounts and holds that are changed in place, with every sum that a rule needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from capsound.accounts import Account, Hold, HoldState
from capsound.amounts import AccountId, AgentId, CallId, HoldId


@dataclass(slots=True, eq=False)
class LiveAccount:
    """An account that is changed in place, with the sums that the rules need."""

    id: AccountId
    root: AccountId
    parent: AccountId | None
    granted: int
    available: int
    held: int = 0
    charged: int = 0
    forfeited: int = 0
    delegated: int = 0
    returned: int = 0
    billed: int = 0
    closed: bool = False
    up: LiveAccount | None = None
    top: LiveAccount | None = None
    below: int = 0
    """The true bills of this account and of everything delegated from it."""
    holds: int = 0
    """How many holds are unresolved."""
    slices: int = 0
    """How many of its own slices are open."""
    deficit: int = 0
    """By how much bills in flight or lost are above their holds."""
    window: int = 0
    """The deficits that may explain an overshoot now."""
    windows: int = 0
    """Of a root: the sum of the windows below it."""
    peak: int = 0
    """Of a root: the largest overshoot so far."""
    worst: Hold | None = None
    """The settled hold with the largest deficit, the earliest of equals."""
    worst_number: int = 0
    leaked: int = 0
    """What its last reset forgot."""
    low: float = inf
    """The least that was available after a reservation, as far as the fast lane saw it."""

    @property
    def spent(self) -> int:
        """All that counts as spent."""
        return self.charged + self.forfeited

    @property
    def frozen(self) -> Account:
        """The same as the model writes it."""
        return Account(
            self.id,
            self.root,
            self.parent,
            self.granted,
            self.available,
            self.held,
            self.charged,
            self.forfeited,
            self.delegated,
            self.returned,
            self.billed,
            self.closed,
            self.leaked,
        )


@dataclass(slots=True, eq=False)
class LiveHold:
    """A hold that is changed in place; ``number`` counts reservations."""

    id: HoldId
    account: AccountId
    amount: int
    state: HoldState
    agent: AgentId | None
    owner: LiveAccount
    number: int
    billed: int = 0
    call: CallId | None = None
    """The first call that was sent under it; nearly every hold has this one alone."""
    more: tuple[CallId, ...] = ()

    @property
    def calls(self) -> tuple[CallId, ...]:
        """The calls that were sent under it, in their order."""
        return () if self.call is None else (self.call, *self.more)

    @property
    def deficit(self) -> int:
        """By how much the true bill is above the hold."""
        return max(0, self.billed - self.amount)

    @property
    def frozen(self) -> Hold:
        """The same as the model writes it."""
        return Hold(self.id, self.account, self.amount, self.state, self.agent, self.billed)


@dataclass(frozen=True, slots=True)
class HoldNames(Mapping[CallId, HoldId]):
    """The names of the holds of calls, as the model asks for them."""

    holds: Mapping[CallId, LiveHold]

    def __getitem__(self, call: CallId) -> HoldId:
        return self.holds[call].id

    def __contains__(self, call: object) -> bool:
        return call in self.holds

    def __iter__(self) -> Iterator[CallId]:
        return iter(self.holds)

    def __len__(self) -> int:
        return len(self.holds)


def path_of(account: LiveAccount) -> Iterator[LiveAccount]:
    """Yield the account and its ancestors, up to its root."""
    node: LiveAccount | None = account
    while node is not None:
        yield node
        node = node.up


def remember_worst(account: LiveAccount, hold: LiveHold) -> None:
    """Keep a settled hold if no other of the account has a larger deficit."""
    worst, deficit = account.worst, hold.deficit
    if worst is None or worst.id == hold.id or (deficit, -hold.number) > (worst.deficit, -account.worst_number):
        account.worst, account.worst_number = hold.frozen, hold.number
