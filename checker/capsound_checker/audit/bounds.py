"""What calls may have cost whose bill is not known: the true bill of an account lies between two ends.

A call that was sent and has no bill cost something between nothing and its hold (A1). Where the log itself shows a bill
above its hold, or a mapping knows no hold, it has no upper end. The lower end is what the monitor knows to be billed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from capsound.accounts import RESOLVED, HoldState
from capsound.amounts import AccountId, CallId
from capsound.live_books import LiveAccount, LiveHold
from capsound.monitor_fast import FastMonitor
from capsound_checker.audit.units import amount
from capsound_checker.intake.limits import cut


@dataclass(slots=True)
class Doubtful:
    """Of one account, what calls without a known bill may have cost at most, and how many there are."""

    calls: int = 0
    amount: int = 0
    unbounded: bool = False

    def add(self, calls: int, amount: int, unbounded: bool = False) -> None:
        """Add so many calls, which cost so much at most."""
        self.calls += calls
        self.amount += amount
        self.unbounded = self.unbounded or unbounded


@dataclass(frozen=True, slots=True)
class Ends:
    """The true bills of an account and of everything below it: at least ``low``, at most ``high`` (None: no end)."""

    account: LiveAccount
    low: int
    high: int | None
    calls: int
    """How many calls have no known bill."""

    @property
    def limit(self) -> int:
        """What the account may spend."""
        return self.account.granted - self.account.returned

    @property
    def fits(self) -> bool:
        """Whether the limit holds also at the upper end."""
        return not self.calls or (self.high is not None and self.high <= self.limit)

    def doubt(self, unit: str) -> str:
        """Return why it is not known whether the limit holds, in words."""
        what = "cap" if self.account.parent is None else "slice"
        most = "" if self.high is None else f" and at most {amount(self.high, unit)}"
        calls, they = ("1 call has", "it") if self.calls == 1 else (f"{self.calls:,} calls have", "they")
        bound = f", and nothing bounds what {they} cost" if self.high is None else ""
        return (
            f"at least {amount(self.low, unit)}{most} billed of a {what} of {amount(self.limit, unit)} "
            f"on {cut(self.account.id, 80)}: "
            f"{calls} no known bill{bound}"
        )


@dataclass(slots=True)
class Bounds:
    """Follows the calls of a log whose bills are not known. ``follow`` is told of events after the monitor.

    Memory is one record for each account, and one for each call that a range was told for and whose hold is open.
    """

    SET_UP: ClassVar[frozenset[str]] = frozenset({"monitor", "follow"})

    monitor: FastMonitor
    accounts: dict[AccountId, Doubtful] = field(default_factory=dict)
    unsent: dict[AccountId, Doubtful] = field(default_factory=dict)
    """Holds that were written off and that no event says was used: perhaps the log does not tell what is sent."""
    unbilled: dict[AccountId, Doubtful] = field(default_factory=dict)
    """Costs that were told as nothing, or for no call: they are known only where told costs stand for bills."""
    sends: bool = False
    owing: bool = False
    """Whether a hold was resolved before the bill of its call was known."""
    follow: dict[object, Callable[[Mapping[str, Any]], None]] = field(init=False)
    """What to do after the monitor took an event of a kind, for the kinds that matter here."""

    def __post_init__(self) -> None:
        self.follow = {
            "send": self._sent,
            "settle": self._settled,
            "forfeit": lambda data: self._written_off(data, forfeited=True),
            "release": lambda data: self._written_off(data, forfeited=False),
            "record": self._recorded,
        }

    def sends_begin(self) -> None:
        """Note that the log tells what is sent."""
        self.sends = True
        del self.follow["send"]  # once is enough, and this is asked at every event

    def _sent(self, _data: Mapping[str, Any]) -> None:
        self.sends_begin()

    def _recorded(self, data: Mapping[str, Any]) -> None:
        self.of(AccountId(data["account"]), self.unbilled).add(1, data["amount"])

    def late(self, data: Mapping[str, Any]) -> Callable[[], None] | None:
        """Return what to do once the monitor took a bill that comes after its hold was resolved: it is known now."""
        call = data.get("call")
        hold = self._hold_of(call)
        if hold is None or hold.state not in RESOLVED or self.monitor.bill_of(call) is not None:
            return None
        told = hold.state is HoldState.SETTLED and call == hold.calls[-1]
        known = (self.unbilled if told else self.accounts).get(hold.account)
        if known is None or not known.calls:
            return None
        return lambda: known.add(-1, -hold.amount)

    def ranged(self, hold: LiveHold, least: int, most: int | None) -> int | None:
        """Note that a bill is at least ``least`` and at most ``most``, as the log says. Return what lies between."""
        more = None if most is None else max(0, most - least)
        self.of(hold.account).add(1, more or 0, more is None)
        return more

    def _hold_of(self, call: object) -> LiveHold | None:
        return self.monitor.hold(self.monitor.state.calls.get(CallId(call))) if isinstance(call, str) else None

    def of(self, account: AccountId, among: dict[AccountId, Doubtful] | None = None) -> Doubtful:
        """Return what is doubtful of an account."""
        table = self.accounts if among is None else among
        found = table.get(account)
        if found is None:
            found = table[account] = Doubtful()
            self.owing = True
        return found

    def _settled(self, data: Mapping[str, Any]) -> None:
        hold = self.monitor.hold(data["hold"])
        if hold is None or (hold.billed and len(hold.calls) == 1):
            return
        missing = [call for call in hold.calls if self.monitor.bill_of(call) is None]
        if not missing:
            return
        if hold.calls[-1] in missing:
            # What was told, if only that it cost nothing, is known where told costs stand for bills.
            missing.pop()
            self.of(hold.account, self.unbilled).add(1, hold.amount)
        if missing:
            self.of(hold.account).add(len(missing), len(missing) * hold.amount)

    def _written_off(self, data: Mapping[str, Any], *, forfeited: bool) -> None:
        hold = self.monitor.hold(data["hold"])
        if hold is None:
            return
        if not hold.calls:
            if forfeited:
                self.of(hold.account, self.unsent).add(1, hold.amount)
            return
        missing = sum(self.monitor.bill_of(call) is None for call in hold.calls)
        if missing:
            self.of(hold.account).add(missing, missing * hold.amount)

    def ends(self, told_for_bills: bool, overran: bool) -> list[Ends]:
        """Return both ends of every account, in the order in which they were created.

        ``told_for_bills`` says that told costs stand for bills, ``overran`` that a bill was above its hold: a hold is
        then no upper end of anything.
        """
        own = {name: Doubtful(d.calls, d.amount, d.unbounded) for name, d in self.accounts.items()}
        for table, counts in ((self.unsent, not self.sends), (self.unbilled, not told_for_bills)):
            for name, more in table.items() if counts else ():
                self.of(name, own).add(more.calls, more.amount)
        for hold in self.monitor.open_holds():
            bills = [self.monitor.bill_of(call) for call in hold.calls]
            missing = bills.count(None)
            if missing or (not bills and not self.sends):
                self.of(hold.account, own).add(max(1, missing), max(1, missing) * hold.amount)
            elif bills and hold.billed < hold.amount:
                # A stream that goes on, or a bill that the ledger has not been told: it may still grow.
                self.of(hold.account, own).add(1, hold.amount - hold.billed)
        below: dict[AccountId, Doubtful] = {}
        accounts = list(self.monitor.accounts())
        for account in accounts:
            doubtful = own.get(account.id)
            node: LiveAccount | None = account if doubtful is not None and doubtful.calls else None
            while node is not None and doubtful is not None:
                self.of(node.id, below).add(doubtful.calls, doubtful.amount, doubtful.unbounded or overran)
                node = node.up
        return [self._ends(account, below.get(account.id, Doubtful())) for account in accounts]

    def _ends(self, account: LiveAccount, doubtful: Doubtful) -> Ends:
        high = None if doubtful.unbounded else account.below + doubtful.amount
        return Ends(account, account.below, high, doubtful.calls)
