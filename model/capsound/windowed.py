"""The monitor for budgets with a window: events that have a moment, judged in the window in which each comes.

What is spent at a moment are the bills that count then (``capsound.windows``). Each window is a flat budget: it opens
with what still counts and with the holds of the calls in flight, and from there on the readable monitor judges it. As
long as nothing leaves the window, nothing is translated, so that a budget without time is judged as ever.

A ledger does not know when the provider billed, only when it was told. It may count a cost from the moment of the bill
or from that of the settlement, and may keep all of a hold of which a part was billed in an earlier window. What it says
of itself, and what it refuses, is right if it is right by one of these; what it admits has to fit beside true bills.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from capsound.accounts import State
from capsound.amounts import AccountId, Amount, HoldId
from capsound.anomalies import ANOMALIES
from capsound.events import (
    Bill,
    Close,
    Crash,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Open,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
)
from capsound.monitor import Monitor
from capsound.properties import Property
from capsound.report import Finding, Report, refuted
from capsound.verdict import Verdict
from capsound.windows import Calendar, Every, Whole, Window


@dataclass(slots=True)
class _Hold:
    """What is known of one hold, with the moments of it."""

    account: AccountId
    amount: int
    reserved: int
    bills: list[tuple[int, int]] = field(default_factory=list)
    ended: int | None = None
    cost: int = 0
    """What was settled, or written off."""
    kept: bool = False
    """Whether the ledger was once seen to keep all of it."""

    def outside(self, window: Window, now: int) -> int:
        """Return what was billed under it and does not count now."""
        return sum(amount for at, amount in self.bills if not window.counts(at, now))

    @property
    def full(self) -> int:
        """What a ledger may count for it at most."""
        return self.amount if self.ended is None else self.cost


@dataclass(slots=True)
class WindowMonitor:
    """A fold in progress: say when time passes, ``feed`` events in order, then ask for the ``report``.

    Accounts stand alone in it: a budget that is sliced is judged as long as nothing leaves its window.
    """

    window: Window = field(default_factory=Whole)
    anchored: bool = False
    """Whether equal periods begin when the first root is opened, and not at whole multiples since 1970."""
    at: int = 0
    """The moment, in nanoseconds since 1970."""
    ended: int = 0
    """How often a window has ended, or something has left it; without a window, how often time has passed."""
    carried: int = 0
    """How many calls were in flight then."""
    steps: int = 0
    _findings: list[Finding] = field(default_factory=list)
    _whole: Monitor = field(default_factory=Monitor)
    _flat: Monitor | None = None
    """The present window; None as long as that is all there ever was."""
    _log: list[tuple[int, Event]] = field(default_factory=list)
    _holds: dict[HoldId, _Hold] = field(default_factory=dict)
    _missing: dict[AccountId, int] = field(default_factory=dict)
    """What of the holds of an account it said last that it does not keep."""
    _spent: dict[AccountId, int] = field(default_factory=dict)
    """What each account said last that it has spent."""
    _broken: bool = False
    """Whether deficits did not explain an overshoot in an earlier window."""
    _peaks: dict[AccountId, int] = field(default_factory=dict)
    _books: State | None = None

    def passes(self, at: int) -> None:
        """Let time pass until ``at``. Raises ``ValueError`` where that is earlier than now, or slices are open."""
        before = self.at
        if at < before:
            raise ValueError("time passes forwards")
        self.at = at
        if at == before or not self._log:
            return
        if isinstance(self.window, Whole):
            self._pass()
        elif self._changes(before):
            if any(isinstance(event, Delegate | Merge) for _, event in self._log):
                raise ValueError("slices are not judged across the end of a window")
            self._pass()
            self._begin()

    def feed(self, event: Event) -> tuple[Finding, ...]:
        """Take the next event; return what it shows. Raises ``BadTrace`` when it refers to nothing known."""
        self.steps += 1
        self._log.append((self.at, event))
        found = self._whole.feed(event)
        self._books = None
        if self._flat is None and isinstance(event, Observe):
            self._keep(event)
        self._note(event)
        if self._flat is not None:
            projected = self._projected(event)
            if projected is not None:
                found = self._flat.feed(projected)
                self._books = None
            elif isinstance(event, Refuse):
                found = ()  # the bill may count from its settlement on, and then it did not fit
            else:
                found = tuple(f for f in found if f.anomaly in TIMELESS)
        told = tuple(self._named(event, finding) for finding in found if not self._is_unrecorded(finding))
        if isinstance(event, Observe):
            self._spent[event.account] = event.spent
        self._findings.extend(told)
        return told

    @property
    def state(self) -> State:
        """The books: every hold as it was made, every account as it is in the present window."""
        if self._flat is None:
            return self._whole.state
        if self._books is None:
            self._books = replace(self._whole.state, accounts=self._flat.state.accounts)
        return self._books

    # -------------------------------------------------------------------------------------- the windows

    def _pass(self) -> None:
        self.ended += 1
        self.carried += sum(hold.ended is None for hold in self._holds.values())

    def _changes(self, before: int) -> bool:
        """Whether something that counted does so no more, or a window has ended."""
        window, now = self.window, self.at
        if isinstance(window, Every | Calendar):
            return window.place(before) != window.place(now)
        moments = {at for hold in self._holds.values() for at, _ in hold.bills}
        moments |= {hold.ended for hold in self._holds.values() if hold.ended is not None}
        return any(window.counts(at, before) and not window.counts(at, now) for at in moments)

    def _begin(self) -> None:
        """Open the present window: with what still counts in it, and the holds of calls in flight."""
        self._close_books()
        self._flat, self._books = (flat := Monitor()), None
        for event in self._carried():
            flat.feed(event)

    def _close_books(self) -> None:
        """Keep what the window that ends has shown of overshoot."""
        report = (self._whole if self._flat is None else self._flat).report()
        self._broken = self._broken or report.verdicts[Property.OVERRUN] is Verdict.VIOLATED
        for account, over in report.overshoot.items():
            self._peaks[account] = max(over, self._peaks.get(account, 0))

    def _carried(self) -> Iterator[Event]:
        """Yield the past as far as it counts now, as a flat run: its admissions, bills, and what became of them."""
        window, now = self.window, self.at
        kept = {name: hold for name, hold in self._holds.items() if self._counts(hold)}
        calls = self._whole.state.calls
        for at, event in self._log:
            match event:
                case Open() | Close() | Crash():
                    yield event
                case Reserve(hold=name) if name in kept:
                    outside = kept[name].outside(window, now)
                    yield replace(event, amount=Amount(max(0, event.amount - outside)))
                case Send(hold=name) | Extend(hold=name) | Release(hold=name) if name in kept:
                    yield event
                case Bill(call=call) if calls[call] in kept and window.counts(at, now):
                    yield event
                case Settle(hold=name, amount=amount) if name in kept:
                    yield Settle(name, Amount(max(0, amount - kept[name].outside(window, now))))
                case Forfeit(hold=name) if name in kept:
                    inside = sum(amount for at, amount in kept[name].bills if window.counts(at, now))
                    yield event if window.counts(at, now) else Settle(name, Amount(inside))
                case _:
                    pass

    def _counts(self, hold: _Hold) -> bool:
        """Whether anything of a hold can be of interest now."""
        if hold.ended is None or self.window.counts(hold.ended, self.at):
            return True
        return any(self.window.counts(at, self.at) for at, _ in hold.bills)

    # --------------------------------------------------------------------------------- what is projected

    def _note(self, event: Event) -> None:
        """Keep the moments of what happens to holds."""
        match event:
            case Open() if len(self._log) == 1 and self.anchored and isinstance(self.window, Every):
                self.window = Every(self.window.length, self.at)
            case Reserve(account=account, hold=name, amount=amount):
                self._holds.setdefault(name, _Hold(account, amount, self.at))
            case Extend(hold=name, amount=amount):
                self._holds[name].amount += amount
            case Bill(call=call, amount=amount):
                self._holds[self._whole.state.calls[call]].bills.append((self.at, amount))
            case Settle(hold=name) | Forfeit(hold=name) | Release(hold=name) if self._holds[name].ended is None:
                hold = self._holds[name]
                hold.ended = self.at
                if isinstance(event, Settle):
                    hold.cost = event.amount
                elif isinstance(event, Forfeit):
                    hold.cost = hold.amount
            case _:
                pass

    def _projected(self, event: Event) -> Event | None:
        """Return an event as it is in the present window; None where nothing of it is."""
        assert self._flat is not None
        state = self._flat.state
        match event:
            case Observe():
                return self._observed(event)
            case Refuse(account=name, amount=amount, hold=None):
                return None if amount > self.spare(name) else event
            case Bill(call=call):
                return event if call in state.calls else None
            case Settle(hold=name, amount=amount) if name in state.holds:
                outside = self._holds[name].outside(self.window, self.at)
                return Settle(name, Amount(max(0, amount - outside)))
            case _:
                about: HoldId | None = getattr(event, "hold", None)
                known = about is None or isinstance(event, Reserve) or about in state.holds
                return event if known else None

    def spare(self, account: AccountId) -> int:
        """Return what an account has to admit now at least, however late its ledger was told of what was billed."""
        return self.state.account(account).available - sum(self._slack(account))

    def most_held(self, account: AccountId) -> int:
        """Return what an account may hold at most: all of a hold of which a part was billed in an earlier window."""
        return self.state.account(account).held + self._slack(account)[1]

    def _slack(self, account: AccountId) -> tuple[int, int]:
        """Return what a ledger may count as spent beyond the bills of the window, and what it may hold beyond them."""
        spent = held = 0
        for hold in self._holds.values():
            if hold.account != account or (hold.ended is not None and not self.window.counts(hold.ended, self.at)):
                continue
            more = min(hold.full, hold.outside(self.window, self.at))
            if hold.ended is None:
                held += more
            else:
                spent += more
        return spent, held

    def _observed(self, event: Observe) -> Observe:
        """Return what an account says as if it counted each bill when it came, where it may count it later."""
        assert self._flat is not None
        account = self._flat.state.account(event.account)
        spending, holding = self._slack(account.id)
        spent, remaining, held = event.spent, event.remaining, event.held
        self._keep(event)
        spent -= min(max(0, spent - account.spent), spending)
        if held is not None:
            held -= min(max(0, held - account.held), holding)
        if remaining == 0 and account.available - spending - holding < 0:  # a debt may be told as 0 remaining
            remaining = account.granted - spent - (held or 0)
        else:
            remaining += event.spent - spent + ((event.held or 0) - (held or 0))
        return Observe(account.id, spent, remaining, held)

    def _keep(self, event: Observe) -> None:
        """Note whether an account keeps the holds of its calls in flight, where it says what it holds."""
        if event.held is None:
            return
        mine = [hold for hold in self._holds.values() if hold.account == event.account and hold.ended is None]
        missing = max(0, sum(hold.amount for hold in mine) - event.held)
        self._missing[event.account] = missing
        for hold in mine:
            hold.kept = hold.kept or missing == 0

    # ------------------------------------------------------------------------------------ what was found

    def _named(self, event: Event, finding: Finding) -> Finding:
        """Return a finding of the present window as one of the run, under the name that time gives it."""
        told = replace(finding, step=self.steps, event=event)
        if finding.anomaly == "overshoot":
            told = self._leak(told)
        elif finding.anomaly == "dropped-overrun" and isinstance(event, Observe):
            told = self._dropped(told, event)
        elif finding.anomaly == "stale-admit" and isinstance(event, Reserve):
            told = self._expired(told, event.account)
        if isinstance(self.window, Whole) or told.anomaly in TIMELESS:
            return told
        where = self.window.named(self.window.place(self.at))
        return replace(told, sentence=f"{told.sentence} (window: {where})")

    def _is_unrecorded(self, finding: Finding) -> bool:
        """Whether a budget went on that had not recorded what was spent: to stop is about what it has recorded."""
        if finding.anomaly != "no-stop":
            return False
        name, granted = AccountId(str(finding.numbers["account"])), int(finding.numbers["granted"])
        return self._spent.get(name, granted) < granted

    def _dropped(self, finding: Finding, event: Observe) -> Finding:
        """Name a part of a bill that is missing after its window, where its call is older than that."""
        hold = self._holds[HoldId(str(finding.numbers["hold"]))]
        if self.window.counts(hold.reserved, self.at):
            return finding
        books = self.state.account(event.account).spent
        sentence = f"{event.account} reports spent {event.spent}, but {books} was charged or written off"
        facts = (("account", event.account), ("says", event.spent), ("books", books))
        return replace(finding, anomaly="ledger-drift", sentence=sentence, facts=facts)

    def _leak(self, finding: Finding) -> Finding:
        """Name an overshoot after the holds that were carried into the window, where these explain it."""
        window, now = self.window, self.at
        if not isinstance(window, Every | Calendar) or self._whole.report().exercise.overran:
            return finding
        mine = [hold for hold in self._holds.values() if hold.account == finding.numbers["account"]]
        old = [hold for hold in mine if window.place(hold.reserved) != window.place(now)]
        carried = sum(amount for hold in old for at, amount in hold.bills if window.counts(at, now))
        granted = self.state.account(AccountId(str(finding.numbers["account"]))).granted
        if not int(finding.numbers["over"]) <= carried <= granted:
            return finding
        sentence = f"{finding.sentence}; {carried} of it under holds from before the window"
        return replace(finding, anomaly="window-leak", sentence=sentence, rule="")

    def _expired(self, finding: Finding, account: AccountId) -> Finding:
        """Name an admission after a hold that was kept before, and let go while time passed in its window."""
        fixed = isinstance(self.window, Every | Calendar)
        aged = 0
        for hold in self._holds.values():
            if hold.account != account or hold.ended is not None or not hold.kept or hold.reserved == self.at:
                continue
            if not fixed or self.window.place(hold.reserved) == self.window.place(self.at):
                aged += hold.amount
        missing = self._missing.get(account, 0)
        if not 0 < missing <= aged:
            return finding
        sentence = f"{finding.sentence}; {missing} of it was let go by its age"
        return replace(finding, anomaly="expired-hold", sentence=sentence, rule="")

    def report(self) -> Report:
        """Return the verdicts on everything fed so far; the monitor can go on afterwards."""
        whole = self._whole.report()
        flat = whole if self._flat is None else self._flat.report()
        stranded = [f for f in whole.findings if f.anomaly == "stranded"]
        findings = (*self._findings, *(f for f in stranded if f not in self._findings))
        broken = {ANOMALIES[finding.anomaly].breaks for finding in findings}
        if self._broken or flat.verdicts[Property.OVERRUN] is Verdict.VIOLATED:
            broken.add(Property.OVERRUN)
        clean = Verdict.SOUND if whole.exercise.informative else Verdict.UNKNOWN
        return Report(
            steps=self.steps,
            findings=findings,
            verdicts={prop: Verdict.VIOLATED if prop in broken else clean for prop in whole.verdicts},
            exercise=whole.exercise,
            state=self.state,
            overshoot={name: max(over, self._peaks.get(name, 0)) for name, over in flat.overshoot.items()},
            deficits=flat.deficits,
            refuted=refuted(findings, whole.exercise, broken),
        )


TIMELESS = frozenset(
    {"double-settle", "use-after-move", "refund-after-send", "bad-amount", "hang", "stranded", "late-refusal"}
)
"""What is wrong in any window."""
