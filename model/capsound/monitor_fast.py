"""The monitor for long logs: the same findings, verdicts and words as ``capsound.monitor``, in place and forgetful.

``capsound.monitor`` folds immutable states: readable, and quadratic in the length of a run. Here accounts and holds
are changed in place and every sum that a rule needs is kept up to date, so that an event costs the same at any length.
What is a breach is decided by a comparison of numbers; what it is called, and how it is told, is asked of the model.

Memory is one record for each account, each unresolved hold and each crashed agent, and a bounded number of resolved
holds. As long as nothing had to be forgotten, the report is that of the readable monitor: a property test compares them
(tests/unit/test_monitor_fast.py).

One module, because an event is one method that changes the books, compares and counts at once: apart they would cost a
call more for each event of a log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NoReturn, cast

from capsound.accounts import (
    RESOLVED,
    RULES,
    Account,
    Breach,
    Hold,
    HoldState,
    State,
    breaches,
    leaked,
    move,
    short_of_bills,
)
from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.errors import BadTrace
from capsound.events import (
    Accept,
    Bill,
    Cancel,
    Close,
    Crash,
    Delegate,
    Event,
    Expire,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Open,
    Record,
    Refuse,
    Release,
    Reserve,
    Reset,
    Send,
    Settle,
    Stall,
    Timeout,
    event_from_dict,
)
from capsound.live_books import HoldNames, LiveAccount, LiveHold, path_of, remember_worst
from capsound.monitor import Finding, Monitor, Report, RootBooks
from capsound.plain_records import plain_records

MEMORY = 10_000
"""How many resolved holds are remembered."""

HELD, SENT, SETTLED = HoldState.HELD, HoldState.SENT, HoldState.SETTLED
RELEASED, FORFEITED = HoldState.RELEASED, HoldState.FORFEITED

_BALANCES = ("granted", "available", "held", "charged", "forfeited", "delegated", "returned", "closed")


class UnknownHandle(BadTrace):
    """An event names a hold or a call that is not known, after some had to be forgotten: perhaps one of them."""

    name = "unknown-handle"


class FastMonitor(Monitor):
    """A fold in progress: ``feed`` events, or ``take`` records read from JSON, then ask for the ``report``.

    ``memory`` is the number of resolved holds that are remembered. A report lists each anomaly once, by its first
    finding; all findings are what ``feed`` and ``take`` return.
    """

    SET_UP: ClassVar[frozenset[str]] = frozenset({"_changes", "_readers", "memory", "state"})
    """What is no state of its own: all else is, whoever keeps it."""

    __slots__ = (
        "_accounts",
        "_admitted",
        "_approached",
        "_calls",
        "_changes",
        "_delegated",
        "_faults",
        "_first",
        "_holds",
        "_overlapped",
        "_overlaps_unknown",
        "_overran",
        "_readers",
        "_recent",
        "_refused",
        "_reserved",
        "_sent",
        "_settled",
        "_unresolved_holds",
        "forgotten",
        "lost",
        "memory",
    )

    def __init__(self, memory: int = MEMORY) -> None:
        self._accounts: dict[AccountId, LiveAccount] = {}
        self._holds: dict[HoldId, LiveHold] = {}
        self._calls: dict[CallId, LiveHold] = {}
        # The rules and the words of the model read these records in place: they have all that it asks of them.
        live = State(
            cast("Mapping[AccountId, Account]", self._accounts),
            cast("Mapping[HoldId, Hold]", self._holds),
            HoldNames(self._calls),
        )
        super().__init__(state=live)
        self.memory = memory
        self.forgotten = 0
        self.lost = 0
        self._overlaps_unknown = False
        self._recent: deque[LiveHold] = deque()
        self._first: dict[str, Finding] = {}
        self._admitted = self._refused = self._sent = self._settled = self._faults = self._delegated = 0
        self._reserved = self._unresolved_holds = 0
        self._overlapped = self._approached = self._overran = False
        self._changes: dict[type[Event], Callable[[Any], None]] = {
            Open: lambda e: self._open(e),
            Delegate: lambda e: self._delegate(e),
            Close: lambda e: self._close(e),
            Merge: lambda e: self._merge(e),
            Reserve: lambda e: self._reserve(e.account, e.hold, e.amount, e.agent),
            Refuse: lambda e: self._refuse(e),
            Send: lambda e: self._send(e.hold, e.call),
            Bill: lambda e: self._bill(e.call, e.amount),
            Settle: lambda e: self._settle(e.hold, e.amount),
            Extend: lambda e: self._extend(e),
            Release: lambda e: self._free(e.hold, RELEASED),
            Forfeit: lambda e: self._free(e.hold, FORFEITED),
            Expire: lambda e: self._expire(e),
            Reset: lambda e: self._reset(e),
            Record: lambda e: self._record(e.account, e.amount),
            Cancel: lambda e: self._fault(e),
            Timeout: lambda e: self._fault(e),
            Crash: lambda e: self._fault(e),
            Observe: lambda e: self._observe(e),
            Accept: lambda e: self._from_driver(e),
            Stall: lambda e: self._from_driver(e),
        }
        self._readers: dict[object, Callable[[Mapping[str, Any]], bool]] = {}

    def _make_readers(self) -> None:
        """Make what takes records: only who is given records needs it, and others make a monitor for every run."""
        self._readers = plain_records(
            reserve=self._reserve,
            send=self._send,
            bill=self._bill,
            settle=self._settle,
            free=self._free,
            record=self._record,
        )

    def feed(self, event: Event) -> tuple[Finding, ...]:
        """Take the next event; return what it shows.

        Raises ``BadTrace`` when it refers to nothing known, ``UnknownHandle`` when that may have been forgotten.
        """
        self.steps += 1
        self._changes[type(event)](event)
        return self._take_findings() if self._findings else ()

    def fork(self) -> NoReturn:
        """Raise ``NotImplementedError``: the books are changed in place. Fork a ``Monitor``."""
        raise NotImplementedError("a fast monitor cannot be forked: use capsound.monitor.Monitor")

    def fingerprint(self) -> NoReturn:
        """Raise ``NotImplementedError``: the sums are kept in the accounts. Ask a ``Monitor``."""
        raise NotImplementedError("a fast monitor has no fingerprint: use capsound.monitor.Monitor")

    def take(self, data: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Take the next event as JSON data; return what it shows.

        Raises ``BadTrace`` for what is no event or refers to nothing known, ``BadAmount`` for a bad number,
        ``UnknownHandle`` when a handle may have been forgotten.
        """
        if not self._readers:
            self._make_readers()
        kind = data.get("event")
        reader = self._readers.get(kind) if type(kind) is str else None
        self.steps += 1
        if reader is None or not reader(data):
            self.steps -= 1
            return self.feed(event_from_dict(data))
        return self._take_findings() if self._findings else ()

    def hold(self, name: object) -> LiveHold | None:
        """Return a hold that is open or remembered."""
        return self._holds.get(name) if isinstance(name, str) else None  # type: ignore[call-overload]

    def knows(self, name: object) -> bool:
        """Return whether there is an account of this name."""
        return name in self._accounts

    def accounts(self) -> Iterator[LiveAccount]:
        """Yield all accounts in the order of creation."""
        yield from self._accounts.values()

    def open_holds(self) -> Iterator[LiveHold]:
        """Yield the unresolved holds in the order of reservation."""
        return (hold for hold in self._holds.values() if hold.state not in RESOLVED)

    def report(self) -> Report:
        """Return the verdicts on everything fed so far; of the resolved holds, ``state`` has those remembered."""
        roots = [a for a in self._accounts.values() if a.parent is None]
        self._findings[:] = self._first.values()
        self._flags = {
            "admitted": self._admitted,
            "refused": self._refused,
            "sent": self._sent,
            "settled": self._settled,
            "faults": self._faults,
            "delegated": self._delegated,
            "overlapped": self._overlapped or self._overlaps_unknown,
            "approached": self._approached,
            "overran": self._overran,
            "misreported": self._flags.get("misreported", 0),
        }
        try:
            said = super().report()
        finally:
            self._findings.clear()
        return replace(
            said,
            state=State(
                {a.id: a.frozen for a in self._accounts.values()},
                {h.id: h.frozen for h in self._holds.values()},
                {call: hold.id for call, hold in self._calls.items()},
            ),
            overshoot={root.id: root.peak for root in roots},
            deficits={root.id: root.windows for root in roots},
        )

    def spend_unheld(self, name: AccountId, amount: int, event: Event) -> tuple[Finding, ...]:
        """Count ``amount`` as truly billed to an account, without a call: for logs that know only what was recorded."""
        self._charge(self._account(name, event), amount, event)
        self._judge_overrun(name)
        return self._take_findings() if self._findings else ()

    def may_have_overlapped(self) -> None:
        """Note that nothing is known of when calls began: whatever is refuted, overlap may have been its reason."""
        self._overlaps_unknown = True

    @property
    def overlapped(self) -> bool:
        """Whether two calls were seen under way at once: not merely that nobody knows."""
        return self._overlapped

    def bill_of(self, call: object) -> int | None:
        """Return what was billed for a call so far; None where no bill is known, or the call was forgotten."""
        hold = self._calls.get(cast("CallId", call))
        if hold is not None and hold.billed and not hold.more:
            return hold.billed  # it tells what its only call was billed
        return self._call_bills.get(cast("CallId", call))

    # -------------------------------------------------------------------------------------------- events

    def _open(self, event: Open) -> None:
        if event.root in self._accounts:
            self._impossible(event)
        root = LiveAccount(event.root, event.root, None, event.cap, event.cap)
        root.top = root
        self._accounts[event.root] = root

    def _delegate(self, event: Delegate) -> None:
        parent = self._account(event.parent, event)
        if event.child in self._accounts:
            self._impossible(event)
        if parent.closed or event.amount > parent.available:
            self._judge(event)
        parent.available -= event.amount
        parent.delegated += event.amount
        parent.slices += 1
        child = LiveAccount(event.child, parent.root, parent.id, event.amount, event.amount, up=parent, top=parent.top)
        self._accounts[event.child] = child
        self._delegated += 1

    def _close(self, event: Close) -> None:
        child = self._account(event.child, event)
        self._judge_end(child, event)
        self._end(child, event, [child, child.up] if child.up is not None else [child])

    def _merge(self, event: Merge) -> None:
        source, target = self._account(event.source, event), self._account(event.target, event)
        if source is target:
            self._judge(event)
            self._delegated += 1
            return
        if source.root != target.root:
            facts = {"source": source.id, "other": source.root, "account": target.id, "root": target.root}
            self._breach(event, "R13", **facts)
        if target.closed:
            self._breach(event, "R5", account=target.id, event=event.kind)
        self._judge_end(source, event)
        self._end(source, event, [*path_of(source), *path_of(target)])

    def _judge_end(self, account: LiveAccount, event: Close | Merge) -> None:
        if account.closed:
            self._breach(event, "R5", account=account.id, event=event.kind)
        if account.holds or account.slices:
            self._breach(event, "R15", account=account.id, holds=account.holds, slices=account.slices)

    def _end(self, account: LiveAccount, event: Close | Merge, touched: list[LiveAccount]) -> None:
        """Let the model move the money among the few accounts that it can touch."""
        was_open = not account.closed
        before = State({a.id: a.frozen for a in touched})
        after = move(before, event)
        for live in touched:
            for name in _BALANCES:
                setattr(live, name, getattr(after.accounts[live.id], name))
            returned = live.returned - before.accounts[live.id].returned
            limit = live.granted - live.returned
            if returned and live.parent is not None and live.below > limit:
                self._add(event, short_of_bills(live.id, live.below, limit, returned))
        if was_open and account.up is not None:
            account.up.slices -= 1
        self._delegated += 1

    def _reserve(self, name: AccountId, hold_id: HoldId, amount: int, agent: AgentId | None) -> None:
        account = self._accounts.get(name)
        if account is None or hold_id in self._holds:
            self._impossible(Reserve(name, hold_id, Amount(amount), agent))
        granted = account.granted
        if amount > account.available or account.closed or account.charged + account.forfeited >= granted:
            self._judge(Reserve(name, hold_id, Amount(amount), agent))
        account.available = available = account.available - amount
        account.held += amount
        account.holds += 1
        self._reserved = number = self._reserved + 1
        self._holds[hold_id] = LiveHold(hold_id, name, amount, HELD, agent, account, number)
        self._admitted += 1
        self._unresolved_holds = unresolved = self._unresolved_holds + 1
        if unresolved > 1:
            self._overlapped = True
        if account.parent is None and 2 * (granted - available) >= granted > 0:
            self._approached = True
        self._restart_window(account)

    def _refuse(self, event: Refuse) -> None:
        account = self._account(event.account, event)
        if event.hold is not None and event.hold not in self._holds:
            self._impossible(event)
        if event.hold is not None or (event.amount <= account.available and not account.closed):
            self._judge(event)
        self._on_refusal(event)
        self._refused += 1

    def _extend(self, event: Extend) -> None:
        hold = self._holds.get(event.hold) or self._impossible(event)
        self._judge(event)
        account = hold.owner
        if hold.state not in RESOLVED:
            account.available -= event.amount
            account.held += event.amount
            before = hold.deficit
            hold.amount += event.amount
            account.deficit -= before - hold.deficit
        self._restart_window(account)

    def _send(self, hold_id: HoldId, call: CallId) -> None:
        hold = self._holds.get(hold_id)
        if hold is None or call in self._calls:
            self._impossible(Send(hold_id, call))
        if hold.state is HELD:
            hold.state = SENT
        elif hold.state is not SENT:
            self._judge(Send(hold_id, call))
        self._calls[call] = hold
        if hold.call is None:
            hold.call = call
        else:
            if (
                not hold.more and hold.billed
            ):  # the hold tells what one call was billed, and not what each of several was
                self._call_bills[hold.call] = hold.billed
            hold.more += (call,)
        self._sent += 1

    def _bill(self, call: CallId, amount: int) -> None:
        hold = self._calls.get(call)
        if hold is None:
            self._impossible(Bill(call, Amount(amount)))
        account = hold.owner
        held, before = hold.amount, hold.billed
        hold.billed = after = before + amount
        alone = not hold.more and after > 0
        paid = after if alone else self._call_bills.get(call, 0) + amount
        if not alone:
            self._call_bills[call] = paid
        if paid > held:
            self._overran = True
        if after > held:
            grown = after - max(held, before)
            account.deficit += grown
            account.window += grown
            cast("LiveAccount", account.top).windows += grown
            if hold.state is SETTLED:
                remember_worst(account, hold)
        node: LiveAccount | None = account
        while node is not None:
            node.below += amount
            if node.below > node.granted - node.returned and amount > 0:
                self._over(node, Bill(call, Amount(amount)))
            node = node.up
        account.billed += amount
        if self._given_back and amount > 0:
            self._judge_given_back(Bill(call, Amount(amount)), self.state.path(account.id))
        top = cast("LiveAccount", account.top)
        if top.below > top.granted:
            self._judge_overrun(account.id)

    def _charge(self, account: LiveAccount, amount: int, event: Event) -> None:
        for node in path_of(account):
            node.below += amount
            if node.below > node.granted - node.returned and amount > 0:
                self._over(node, event)
        account.billed += amount

    def _settle(self, hold_id: HoldId, amount: int) -> None:
        hold = self._holds.get(hold_id) or self._impossible(Settle(hold_id, Amount(amount)))
        account = hold.owner
        self._settled += 1
        if hold.state is not HELD and hold.state is not SENT:
            self._judge(Settle(hold_id, Amount(amount)))
            account.available -= amount
            account.charged += amount
            return
        held, billed = hold.amount, hold.billed
        if amount != billed:
            self._judge(Settle(hold_id, Amount(amount)))
            if amount != ((self.bill_of(hold.calls[-1]) or 0) if hold.call is not None else 0):
                self._flags["misreported"] = 1
        account.held -= held
        account.charged += amount
        account.available += held - amount
        hold.state = SETTLED
        if billed > held:
            account.deficit -= billed - held
            remember_worst(account, hold)
        self._resolved(hold)

    def _free(self, hold_id: HoldId, to: HoldState) -> None:
        hold = self._holds.get(hold_id) or self._impossible(_ends(hold_id, to))
        account = hold.owner
        if hold.state is not HELD and (to is RELEASED or hold.state is not SENT):
            self._judge(_ends(hold_id, to))
            if hold.state is not SENT:
                return
        account.held -= hold.amount
        if to is RELEASED:
            account.available += hold.amount
        else:
            account.forfeited += hold.amount
            self.lost += hold.call is not None and not hold.billed
        hold.state = to
        self._resolved(hold)

    def _expire(self, event: Expire) -> None:
        if event.hold not in self._holds:
            self._impossible(event)
        self._judge(event)

    def _reset(self, event: Reset) -> None:
        """Let the model begin the window of the only account that it touches."""
        root = self._account(event.root, event)
        if any(hold not in self._holds for hold in event.forgotten):
            self._impossible(event)
        if root.parent is not None or any(account.parent == root.id for account in self._accounts.values()):
            self._impossible(event)
        holds = {name: self._holds[name].frozen for name in event.forgotten}
        after = move(State({root.id: root.frozen}, holds), event).accounts[root.id]
        root.available, root.charged, root.forfeited = after.available, 0, 0
        root.billed, root.below, root.leaked = 0, 0, after.leaked
        root.windows += root.deficit - root.window
        root.window = root.deficit
        self._on_reset(root.id)

    def _record(self, name: AccountId, amount: int) -> None:
        account = self._accounts.get(name) or self._impossible(Record(name, Amount(amount)))
        if account.closed:
            self._judge(Record(name, Amount(amount)))
        account.available -= amount
        account.charged += amount

    def _fault(self, event: Cancel | Timeout | Crash) -> None:
        self._faults += 1
        if isinstance(event, Crash):
            self._crashed.add(event.agent)

    def _observe(self, event: Observe) -> None:
        self._account(event.account, event)
        self._on_observe(event)

    def _from_driver(self, event: Accept | Stall) -> None:
        """Let the readable monitor say what the driver of a run saw: it concerns no books."""
        self._findings += Monitor(steps=self.steps - 1).feed(event)

    # ------------------------------------------------------------------------------------------ judgement

    def _judge(self, event: Event) -> None:
        for breach in breaches(self.state, event):
            if not self._unrecorded(breach):
                self._add(event, breach)

    def _breach(self, event: Event, rule: str, /, **facts: int | str) -> None:
        self._add(event, Breach(RULES[rule], tuple(facts.items())))

    def _over(self, node: LiveAccount, event: Event) -> None:
        limit = node.granted - node.returned
        rule = "R10" if node.parent is None else "R11"
        self._breach(event, rule, account=node.id, billed=node.below, granted=limit, over=node.below - limit)
        if node.leaked:
            self._add(event, leaked(node.id, node.below, limit, node.leaked))

    def _restart_window(self, account: LiveAccount) -> None:
        top = cast("LiveAccount", account.top)
        if account.window != account.deficit:
            top.windows += account.deficit - account.window
            account.window = account.deficit
        if top.below > top.granted:
            self._judge_overrun(account.id)

    def _judge_overrun(self, name: AccountId) -> None:
        top = cast("LiveAccount", self._accounts[name].top)
        over = top.below - top.granted
        top.peak = max(top.peak, over)
        if over > top.windows and not self._books:  # one is enough: the report asks whether there is any
            self._books[top.id] = RootBooks(over, overrun_broken=True)

    def _last_settled(self, account: AccountId) -> Hold | None:
        return self._accounts[account].worst

    def _unresolved(self, account: AccountId) -> list[Hold]:
        """Return something exactly if a hold of the account is unresolved: no more is asked."""
        live = self._accounts[account]
        return [Hold(HoldId(""), account, live.held)] if live.holds else []

    def _take_findings(self) -> tuple[Finding, ...]:
        findings = tuple(self._findings)
        self._findings.clear()
        for finding in findings:
            self._first.setdefault(finding.anomaly, finding)
        return findings

    # ------------------------------------------------------------------------------------------- handles

    def _account(self, name: AccountId, event: Event) -> LiveAccount:
        return self._accounts.get(name) or self._impossible(event)

    def _resolved(self, hold: LiveHold) -> None:
        """Remember a hold that was resolved, and forget the one that was resolved ``memory`` resolutions ago."""
        hold.owner.holds -= 1
        self._unresolved_holds -= 1
        self._recent.append(hold)
        if len(self._recent) > self.memory:
            old = self._recent.popleft()
            del self._holds[old.id]
            if old.call is not None:
                del self._calls[old.call]
                self._forget_more(old)
            self.forgotten += 1

    def _forget_more(self, hold: LiveHold) -> None:
        """Forget further calls of a hold, and what its calls were billed."""
        self._call_bills.pop(hold.call, None)
        for call in hold.more:
            del self._calls[call]
            self._call_bills.pop(call, None)

    def _impossible(self, event: Event) -> NoReturn:
        """Raise what the model says of an event that cannot be, or that only the memory cannot place.

        It leaves everything as it was.
        """
        self.steps -= 1
        self._findings.clear()
        hold, call = getattr(event, "hold", None), getattr(event, "call", None)
        if self.forgotten and not isinstance(event, Reserve):
            known = f"it was resolved before the last {self.memory:,} resolutions, or never reserved"
            if isinstance(event, Bill) and call not in self._calls:
                raise UnknownHandle(f"call {call!r} is not known: its hold was forgotten, or it was never sent")
            if hold is not None and hold not in self._holds:
                raise UnknownHandle(f"hold {hold!r} is not known: {known}")
        breaches(self.state, event)
        move(self.state, event)
        self.state.account(cast("Observe", event).account)
        raise AssertionError(event)


def _ends(hold: HoldId, to: HoldState) -> Release | Forfeit:
    return Release(hold) if to is RELEASED else Forfeit(hold)
