"""The monitor: one pure fold of events into a report (design section 1).

It knows the true bills, because they are events; it keeps the books of the reference semantics beside whatever
the implementation says of itself; and it goes on after a violation, so that one run can show several.

One module, because an event is judged and remembered by one class, which ``monitor_fast`` and others build on: parts of
it elsewhere would need all that it keeps to itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from capsound.accounts import (
    RESOLVED,
    Account,
    Breach,
    Hold,
    HoldState,
    State,
    breaches,
    left_short,
    move,
    short_of_bills,
)
from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.anomalies import ANOMALIES
from capsound.events import (
    TOLD,
    Accept,
    Bill,
    Cancel,
    Close,
    Crash,
    Delegate,
    Event,
    Extend,
    Merge,
    Observe,
    Open,
    Refuse,
    Reserve,
    Reset,
    Send,
    Settle,
    Stall,
    Timeout,
)
from capsound.properties import Property
from capsound.report import Exercise, Finding, Report, refuted
from capsound.verdict import Verdict

__all__ = ["Exercise", "Finding", "Monitor", "Report", "RootBooks", "fold"]


@dataclass(slots=True)
class RootBooks:
    """What is known of one root beside its accounts: how far it was overshot, and whether deficits explain it."""

    peak_over: int = 0
    overrun_broken: bool = False


@dataclass(slots=True)
class Monitor:
    """A fold in progress: ``feed`` events in order, then ask for the ``report``."""

    state: State = field(default_factory=State)
    steps: int = 0
    _findings: list[Finding] = field(default_factory=list)
    _books: dict[AccountId, RootBooks] = field(default_factory=dict)
    _windows: dict[AccountId, int] = field(default_factory=dict)
    _open_deficit: dict[AccountId, int] = field(default_factory=dict)
    _flags: dict[str, int] = field(default_factory=dict)
    _in_flight: set[HoldId] = field(default_factory=set)
    _seen: dict[AccountId, Observe] = field(default_factory=dict)
    _wrong: dict[AccountId, dict[str, int]] = field(default_factory=dict)
    _told: dict[AccountId, int] = field(default_factory=dict)
    _given_back: dict[AccountId, int] = field(default_factory=dict)
    _crashed: set[AgentId] = field(default_factory=set)
    _last_call: dict[HoldId, CallId | None] = field(default_factory=dict)
    _call_bills: dict[CallId | None, int] = field(default_factory=dict)
    _partly: dict[HoldId, AccountId] = field(default_factory=dict)

    def feed(self, event: Event) -> tuple[Finding, ...]:
        """Take the next event; return what it shows. Raises ``BadTrace`` when it refers to nothing known."""
        self.steps += 1
        before = len(self._findings)
        for breach in breaches(self.state, event):
            if not self._unrecorded(breach):
                self._add(event, breach)
        was = self.state
        self.state = move(was, event)
        self._count(event, was)
        match event:
            case Open(root=root):
                self._books[root] = RootBooks()
            case Reserve(account=account) | Refuse(account=account):
                self._on_admission(event, account)
                if isinstance(event, Refuse):
                    self._on_refusal(event)
            case Extend(hold=hold):
                extended = self.state.hold(hold)
                # What a larger hold covers is no deficit any more.
                covered = was.hold(hold).deficit - extended.deficit
                if covered:
                    self._open_deficit[extended.account] -= covered
                self._on_admission(event, extended.account)
            case Bill():
                self._on_bill(event, was)
            case Reset(root=root):
                self._on_reset(root)
            case Close() | Merge():
                for breach in left_short(was, self.state, event):
                    self._add(event, breach)
            case Observe():
                self._on_observe(event)
            case Accept(account=account, operation=operation, value=value):
                sentence = f"{operation} on {account} accepted {value}, which is not an amount"
                self._say("bad-amount", event, sentence, account=account, operation=operation, value=value)
            case Stall(agents=agents):
                names = ", ".join(agents)
                facts = (("agents", names),)
                sentence = f"no step is possible, but work is left for {names}"
                self._findings.append(Finding("hang", self.steps, event, facts, sentence))
            case _:
                pass
        return tuple(self._findings[before:])

    def fork(self) -> Monitor:
        """Return a monitor that knows the same, and goes on by itself."""
        own: dict[str, Any] = {name: getattr(self, name).copy() for name in _CHANGED_IN_PLACE}
        own["_books"] = {root: RootBooks(books.peak_over, books.overrun_broken) for root, books in self._books.items()}
        own["_wrong"] = {account: dict(wrong) for account, wrong in self._wrong.items()}
        return self.__class__(self.state, self.steps, **own)

    def fingerprint(self) -> tuple[object, ...]:
        """Return what the monitor remembers beside ``state``; how often something happened is left out.

        Monitors of equal states and fingerprints find the same anomalies in what follows.
        """
        return (
            tuple(sorted(self._windows.items())),
            tuple(sorted(self._open_deficit.items())),
            tuple(sorted(self._told.items())),
            tuple(sorted(self._given_back.items())),
            tuple(sorted((name, tuple(sorted(wrong.items()))) for name, wrong in self._wrong.items())),
            tuple(sorted((name, seen.spent) for name, seen in self._seen.items())),
            tuple(sorted(self._crashed)),
            tuple(sorted(self._partly.items())),
            tuple(books.overrun_broken for books in self._books.values()),
            tuple(sorted(self._flags)),
            tuple(sorted({finding.anomaly for finding in self._findings})),
        )

    # ------------------------------------------------------------------------------------ what was seen

    def _add(self, event: Event, breach: Breach) -> None:
        self._findings.append(
            Finding(breach.rule.anomaly, self.steps, event, breach.facts, breach.sentence, breach.rule.id)
        )

    def _unrecorded(self, breach: Breach) -> bool:
        """Return whether the implementation's own ledger had not reached the grant: R3 is about recorded spend."""
        seen = self._seen.get(AccountId(str(breach.numbers["account"]))) if breach.rule.id == "R3" else None
        return seen is not None and seen.spent < int(breach.numbers["granted"])

    def _count(self, event: Event, was: State) -> None:
        """Keep count of what was exercised, so that an empty run is not taken for a sound one."""
        flags = self._flags

        def tick(name: str) -> None:
            flags[name] = flags.get(name, 0) + 1

        match event:
            case Reserve(account=name, hold=hold):
                tick("admitted")
                self._in_flight.add(hold)
                if len(self._in_flight) > 1:
                    tick("overlapped")
                account = self.state.account(name)
                used = account.granted - account.available
                if 2 * used >= account.granted > 0 and account.parent is None:
                    tick("approached")
            case Refuse():
                tick("refused")
            case Send(hold=hold, call=call):
                tick("sent")
                self._last_call[hold] = call
            case Bill(call=call, amount=amount):
                self._call_bills[call] = self._call_bills.get(call, 0) + amount
                if self._call_bills[call] > self.state.hold_of(call).amount:
                    # A1 is about one call: two calls under one hold are the ledger's fault, not the provider's.
                    tick("overran")
            case Settle(hold=hold, amount=amount):
                tick("settled")
                # Told the last bill of several is no misreport of the provider: the ledger sent twice.
                bills = (was.hold(hold).billed, self._call_bills.get(self._last_call.get(hold), 0))
                if was.hold(hold).state not in RESOLVED and amount not in bills:
                    tick("misreported")
            case Cancel() | Timeout():
                tick("faults")
            case Crash(agent=agent):
                tick("faults")
                self._crashed.add(agent)
            case Delegate() | Close() | Merge():
                tick("delegated")
            case _:
                pass
        hold_id: HoldId | None = getattr(event, "hold", None)
        if hold_id is not None and hold_id in self._in_flight and self.state.hold(hold_id).state in RESOLVED:
            self._in_flight.discard(hold_id)
            if isinstance(event, Settle):
                # A lost call keeps its deficit: its bill was never told, so it is never out of flight.
                resolved = was.hold(hold_id)
                self._open_deficit[resolved.account] = self._open_deficit.get(resolved.account, 0) - resolved.deficit

    def _on_admission(self, event: Reserve | Refuse | Extend, name: AccountId) -> None:
        """Start a new window of deficits: only calls outstanding now may still push the bills above the cap.

        Why it restarts also in debt: a ledger that charges overruns in full admits nothing then, and one that
        admits all the same cannot point at deficits that are settled.
        """
        if not isinstance(event, Refuse):
            self._windows[name] = self._open_deficit.get(name, 0)
            self._judge_overrun(name)

    def _on_bill(self, event: Bill, was: State) -> None:
        hold = self.state.hold_of(event.call)
        grown = hold.deficit - was.hold_of(event.call).deficit
        if grown:
            self._open_deficit[hold.account] = self._open_deficit.get(hold.account, 0) + grown
            self._windows[hold.account] = self._windows.get(hold.account, 0) + grown
        if self._given_back and event.amount > 0:
            self._judge_given_back(event, self.state.path(hold.account))
        self._judge_overrun(hold.account)

    def _on_reset(self, root: AccountId) -> None:
        """Begin a window: what was wrong with the books of the last one is over, but for deficits in flight."""
        self._windows[root] = self._open_deficit.get(root, 0)
        for known in (self._told, self._wrong, self._seen):
            known.pop(root, None)

    def _judge_overrun(self, name: AccountId) -> None:
        """Compare the overshoot with the deficits that explain it: after a bill, and after an admission.

        Why also after an admission: it forgets the deficits of settled calls, and an implementation that admits
        although those have used up the cap breaks its bound in just that moment.
        """
        root = self.state.account(self.state.account(name).root)
        books = self._books[root.id]
        over = self.state.billed_below(root.id) - root.granted
        books.peak_over = max(books.peak_over, over)
        if over > sum(self._windows.get(a.id, 0) for a in self.state.below(root.id)):
            books.overrun_broken = True

    def _on_observe(self, event: Observe) -> None:
        """Compare what the implementation says with the books.

        Between admission and settlement an implementation may or may not set the estimate aside, so that
        ``remaining`` is only judged against what is physically there: spent and remaining together never
        exceed what the account was granted and still has.
        """
        account = self.state.account(event.account)
        drift = event.spent - account.spent
        known = self._told.get(account.id, 0)
        self._told[account.id] = drift
        if drift != known:
            self._on_drift(event, account, drift - known)
        self._on_told(event, account, quiet=drift != known)
        there = account.granted - account.delegated - account.returned
        says, excess, exact = self._claimed(event, account, there)
        if excess > 0 and drift >= 0:
            self._say(
                "minted",
                event,
                f"{account.id} reports {says}: {excess} more than the {there} it has",
                account=account.id,
                excess=excess,
                there=there,
            )
        if excess < 0 and drift == 0 and exact:
            self._say(
                "vanished",
                event,
                f"{account.id} reports {says}: {-excess} of the {there} it has is missing",
                account=account.id,
                missing=-excess,
                there=there,
            )
        self._seen[account.id] = event

    def _claimed(self, event: Observe, account: Account, there: int) -> tuple[str, int, bool]:
        """Return what is claimed in words, by how much it is above what is there, and whether less is a loss.

        A claim without ``held`` may or may not count the estimates of calls in flight: it is exact only when
        none is. One with ``held`` is exact always; a debt may be told as 0 remaining.
        """
        if event.held is None:
            says = f"spent {event.spent} and remaining {event.remaining}"
            exact = account.available >= 0 and not self._unresolved(account.id)
            excess = event.spent + event.remaining - there
            # A debt may be told as 0 remaining: where nothing can be spent, nothing has come from nothing.
            return says, min(excess, 0) if event.remaining == 0 else excess, exact
        remaining = account.available if event.remaining == 0 > account.available else event.remaining
        says = f"spent {event.spent}, held {event.held} and remaining {event.remaining}"
        return says, event.spent + event.held + remaining - there, True

    def _on_told(self, event: Observe, account: Account, *, quiet: bool) -> None:
        """Compare every further balance that is told with the books; what was wrong before by as much is not news."""
        wrong = self._wrong.setdefault(account.id, {})
        for name in TOLD:
            says, books = getattr(event, name), getattr(account, name)
            if says is None:
                continue
            known, wrong[name] = wrong.get(name, 0), says - books
            if says != books and says - books != known and not quiet:
                self._say(
                    "ledger-drift",
                    event,
                    f"{account.id} reports {name} {says}, but it is {books}",
                    account=account.id,
                    says=says,
                    books=books,
                )
            if name == "returned" and says > books:
                self._given_back[account.id] = says
                if says - books > known:
                    self._judge_given_back(event, (account,))

    def _judge_given_back(self, event: Observe | Bill, slices: Iterable[Account]) -> None:
        """Judge slices by what they say that they gave back, where that is more than the books let them give.

        A copied balance is given back although it is still out. What a slice of the books still has covers the
        bills then, and the slice of the implementation has it no more.
        """
        for account in slices:
            says = self._given_back.get(account.id, 0)
            limit = account.granted - says
            billed = self.state.billed_below(account.id)
            if says and limit < billed <= account.granted - account.returned and account.parent is not None:
                self._add(event, short_of_bills(account.id, billed, limit, says))

    def _on_drift(self, event: Observe, account: Account, moved: int) -> None:
        last = self._last_settled(account.id)
        excess = last.deficit if last is not None else 0
        if last is not None and excess > 0 and moved == -excess:
            self._say(
                "dropped-overrun",
                event,
                f"{last.id} was billed {last.billed} on a hold of {last.amount}, "
                f"but {excess} of it was never charged to {account.id}",
                hold=last.id,
                billed=last.billed,
                held=last.amount,
                dropped=excess,
            )
        else:
            self._say(
                "ledger-drift",
                event,
                f"{account.id} reports spent {event.spent}, but {account.spent} was charged or written off",
                account=account.id,
                says=event.spent,
                books=account.spent,
            )

    def _say(self, anomaly: str, event: Event, sentence: str, **facts: int | str) -> None:
        self._findings.append(Finding(anomaly, self.steps, event, tuple(facts.items()), sentence))

    def _last_settled(self, account: AccountId) -> Hold | None:
        settled = (h for h in self.state.holds.values() if h.account == account and h.state is HoldState.SETTLED)
        return max(settled, key=lambda h: h.deficit, default=None)

    def _unresolved(self, account: AccountId) -> list[Hold]:
        return [h for h in self.state.holds.values() if h.account == account and h.state not in RESOLVED]

    # ---------------------------------------------------------------------------------------- the report

    def report(self) -> Report:
        """Return the verdicts on everything fed so far; the monitor can go on afterwards."""
        flags = self._flags
        exercise = Exercise(
            admitted=flags.get("admitted", 0),
            refused=flags.get("refused", 0),
            sent=flags.get("sent", 0),
            settled=flags.get("settled", 0),
            faults=flags.get("faults", 0),
            delegated=flags.get("delegated", 0),
            overlapped=bool(flags.get("overlapped")),
            approached=bool(flags.get("approached")),
            overran=bool(flags.get("overran")),
            misreported=bool(flags.get("misreported")),
        )
        findings = (*self._findings, *self._stranded(), *self._partial())
        verdicts: dict[Property, Verdict] = {}
        broken = {ANOMALIES[f.anomaly].breaks for f in findings}
        if any(books.overrun_broken for books in self._books.values()):
            broken.add(Property.OVERRUN)
        clean = Verdict.SOUND if exercise.informative else Verdict.UNKNOWN
        for prop in Property:
            if prop is Property.WIDTH:  # a property of machine integers, not of a run
                continue
            verdicts[prop] = Verdict.VIOLATED if prop in broken else clean
        return Report(
            steps=self.steps,
            findings=findings,
            verdicts=verdicts,
            exercise=exercise,
            state=self.state,
            overshoot={name: max(0, books.peak_over) for name, books in self._books.items()},
            deficits={name: sum(self._windows.get(a.id, 0) for a in self.state.below(name)) for name in self._books},
            refuted=refuted(findings, exercise, broken),
        )

    def _partial(self) -> list[Finding]:
        """Return the holds of calls that another ceiling has refused, and that nobody has given back."""
        found = []
        for name, refused in self._partly.items():
            hold = self.state.holds.get(name)
            if hold is None or hold.state is not HoldState.HELD:
                continue
            sentence = f"{refused} refused {hold.agent}, and {name} still holds {hold.amount} of {hold.account} for it"
            facts = (("hold", name), ("amount", hold.amount), ("account", hold.account), ("refused", refused))
            end = Refuse(refused, Amount(hold.amount), "", hold.agent, name)
            found.append(Finding("partial-hold", self.steps, end, facts, sentence))
        return found

    def _on_refusal(self, event: Refuse) -> None:
        """Note a hold that a refused call has on another root: of the same root it is that which was to be extended."""
        if event.hold is None:
            return
        held = self.state.account(self.state.hold(event.hold).account)
        if held.root != self.state.account(event.account).root:
            self._partly[event.hold] = event.account

    def _stranded(self) -> list[Finding]:
        """Return the holds of agents that crashed, when all else is resolved: nobody can give them back."""
        left = [h for h in self.state.holds.values() if h.state not in RESOLVED]
        if not left or not all(h.agent in self._crashed for h in left):
            return []
        end = Crash(left[0].agent or AgentId(""))
        return [
            Finding(
                "stranded",
                self.steps,
                end,
                (("hold", h.id), ("amount", h.amount), ("account", h.account)),
                f"{h.id} still holds {h.amount} of {h.account}, but {h.agent} has crashed",
            )
            for h in left
        ]


_CHANGED_IN_PLACE = tuple(f.name for f in fields(Monitor) if f.name not in ("state", "steps", "_books", "_wrong"))


def fold(events: Iterable[Event]) -> Report:
    """Return the report of a finished run: the monitor as one pure function."""
    monitor = Monitor()
    for event in events:
        monitor.feed(event)
    return monitor.report()
