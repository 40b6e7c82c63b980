"""``capsound audit``: the monitor on what a production system wrote down.

A log is our vocabulary of events, one JSON object a line, or anything that a mapping turns into it. It is read once,
from first to last line, in memory that does not grow with its length (``capsound.monitor_fast``). What cannot be
known from it is said: which amounts stand for bills, which lines are missing, and what was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, cast

from capsound.accounts import RESOLVED
from capsound.amounts import AccountId, Amount, CallId, as_amount
from capsound.errors import BadAmount, BadTrace, CapsoundError
from capsound.events import Bill, Open, Record, Send
from capsound.monitor import Exercise, Finding
from capsound.monitor_fast import MEMORY, FastMonitor, UnknownHandle
from capsound.verdict import Verdict
from capsound_checker.audit.audited import JUDGED, Audit, Root, Shown
from capsound_checker.audit.bounds import Bounds, Ends
from capsound_checker.audit.doubts import Unseen, carries_usage
from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.mapping import BadRecord, LogMapping, shipped
from capsound_checker.audit.noting import Notes
from capsound_checker.audit.ordering import Waiting as Ordered
from capsound_checker.audit.records import WANTED, Records, Unusable
from capsound_checker.audit.rules import Made
from capsound_checker.audit.tree import RETOLD, TWICE, Excess, Families, Stated
from capsound_checker.audit.values import shown
from capsound_checker.audit.whole import Waiting, obstacle
from capsound_checker.intake.limits import cut

BILLS = ("auto", "logged", "settled")
"""Where true bills are taken from: ``bill`` events, told costs where there are none, or whichever the log has."""

_ROOTS = 10
"""How many roots are listed, those that were overshot most first."""

_TOLD = "no bills in the log: the {count:,} amounts that were settled or recorded count as billed (A7)"
_TOLD_ONCE = "no bills in the log: the one amount that was settled or recorded counts as billed (A7)"
_LOST = "{count:,} {calls} no known bill: each counts as between 0 and its hold (A1)"


def audit(
    source: Iterable[str],
    *,
    name: str = "-",
    mapping: LogMapping | None = None,
    cap: int | None = None,
    bills: str = "auto",
    lenient: bool = False,
    memory: int = MEMORY,
    show: int = 5,
    tell: Callable[[Shown], object] | None = None,
) -> Audit:
    """Judge a log. ``source`` yields its lines, ``name`` is what errors and the report call it.

    ``cap`` is the cap of every account that is used without having been opened, in place of the one of the mapping.
    ``bills`` is one of ``BILLS``. With ``lenient``, lines that cannot be used are left out and counted. ``memory`` is
    the number of resolved holds that are remembered, ``show`` the number of findings of each anomaly that are kept;
    ``tell`` is given each of those when it is found. An interrupt (``KeyboardInterrupt``) ends the log: what is known
    is returned.

    Raises ``BadLog`` for a line that cannot be used, naming it, and for a log without a single event.
    """
    if bills not in BILLS:
        raise ValueError(f"bills is one of {', '.join(BILLS)}, not {bills!r}")
    return _Auditor(name, mapping, cap, bills, lenient, memory, show, tell).run(source)


# ---------------------------------------------------------------------------------------------- the work


@dataclass(slots=True)
class _Auditor:
    """One pass over a log."""

    name: str
    mapping: LogMapping | None
    cap: int | None
    bills: str
    lenient: bool
    memory: int
    show: int
    tell: Callable[[Shown], object] | None
    events: int = 0
    ignored: int = 0
    assumed: int = 0
    assumed_line: int = 0
    interrupted: bool = False
    records: Records = field(init=False)
    notes: Notes = field(init=False)
    monitor: FastMonitor = field(init=False)
    bounds: Bounds = field(init=False)
    follow: dict[object, Callable[[Mapping[str, Any]], None]] = field(init=False)
    families: Families = field(default_factory=Families)
    waiting_names: Waiting = field(default_factory=Waiting)

    def __post_init__(self) -> None:
        self.monitor = FastMonitor(self.memory)
        self.bounds = Bounds(self.monitor)
        self.follow = self.bounds.follow
        self.records = Records(
            self._unusable, lambda told: self.notes.warn("truncated", told), self.mapping is not None
        )
        self.notes = Notes(self.records, self.show, self.tell)

    def run(self, source: Iterable[str]) -> Audit:
        mapping = self.mapping
        records = self.records.read(source)
        if mapping is not None:
            self.cap = mapping.cap if self.cap is None else self.cap
            if mapping.root is not None and self.cap is not None:
                self.monitor.feed(Open(AccountId(mapping.root), Amount(self.cap)))
        try:
            if mapping is None:
                self._natives(records)
            else:
                self._mapped(records, mapping)
        except KeyboardInterrupt:
            self.interrupted = True
        if not self.events and not self.interrupted:
            self._nothing()
        return self._result()

    def _unusable(self, error: Unusable) -> None:
        """Leave the line out, or stop here: that is what ``lenient`` says."""
        if not self.lenient:
            self._stop(error)
        self.notes.warn("skipped", cut(error.message))

    def _stop(self, error: Unusable) -> NoReturn:
        hint = error.hint or "repair the line"
        raise BadLog(
            cut(error.message),
            where=f"{cut(self.name)}:{self.notes.at}",
            cause=cut(error.cause),
            hint=f"{hint}; --lenient leaves such lines out and counts them",
        )

    def _nothing(self) -> NoReturn:
        skipped = self.notes.warned.get("skipped")
        if self.mapping is not None and self.ignored:
            raise BadLog(
                f"no rule of the mapping applies to any of the {self.ignored:,} records",
                where=cut(self.name),
                hint=f"compare `when` in {cut(self.mapping.path)} with the first line of the log",
            )
        if skipped is not None:
            raise BadLog(
                f"no line could be used, line {skipped.line}: {skipped.detail}",
                where=cut(self.name),
                hint=WANTED if self.mapping else f"{WANTED}; {_FOREIGN}",
            )
        raise BadLog("the log is empty", where=cut(self.name), hint=f"{WANTED}; is it the right file?")

    # ------------------------------------------------------------------------------------------ events

    def _natives(self, records: Iterable[dict[str, Any]]) -> None:
        """Take lines in our own vocabulary, with the fields beside it that logs have."""
        guard = self._guard
        for data in records:
            if "at" in data:
                self.notes.clock(data.pop("at"))
            if "seq" in data:
                self.notes.sequence(data.pop("seq"))
            if "v" in data:
                del data["v"]
            guard(data)

    def _guard(self, data: dict[str, Any]) -> None:
        try:
            self._take(data)
        except UnknownHandle as error:
            self.notes.warn("unknown-handle", cut(error.message))
        except (BadTrace, BadAmount) as error:
            self._unusable(self._explained(error))
        except Unusable as error:
            self._unusable(error)

    def _explained(self, error: CapsoundError) -> Unusable:
        hint = cut(error.hint)
        if "was never opened" in error.message:
            hint = "give its cap: --cap, or [open] in a mapping" if self.cap is None else "slices are delegated first"
        elif "was never" in error.message:
            hint = "begin the log where it begins"
        elif error.message.startswith("unknown event") and self.mapping is None:
            hint = f"{_FOREIGN}; {hint}"
        return Unusable(error.message, hint, error.cause)

    def _take(self, data: dict[str, Any]) -> None:
        kind = data.get("event")
        if self.cap is not None:
            self._open_first(data)
        if kind == "bill" and (self.bounds.owing or "at_most" in data):
            self._take_bill(data)
            return
        if self.bills != "logged":
            self._bill_told(data)
        found = self.monitor.take(data)
        self.events += 1
        follow = self.follow.get(kind)
        if follow is not None:
            follow(data)
        if found:
            self.notes.found(found)

    def _take_bill(self, data: dict[str, Any]) -> None:
        """Take a bill that may be a range, or that may be of a call whose hold was resolved without it."""
        ranged = "at_most" in data
        most = data.pop("at_most", None)
        if most is not None and as_amount(most) < as_amount(data.get("amount")):
            raise Unusable(f"a bill of {shown(data['amount'])} cannot be at most {shown(most)}", "swap the two")
        late = self.bounds.late(data)
        if self.bills != "logged":
            self._bill_told(data)
        found = self.monitor.take(data)
        self.events += 1
        if late is not None:
            late()
        if ranged:
            self.bounds.ranged(data["call"], data["amount"], most)
        if found:
            self.notes.found(found)

    def _open_first(self, data: dict[str, Any]) -> None:
        """Open an account that is used for the first time and was neither opened nor delegated."""
        kind = data.get("event")
        account = data.get("parent" if kind == "delegate" else "account")
        if not isinstance(account, str) or self.monitor.knows(account):
            return
        if self.mapping is None or self.mapping.root is None:
            self.monitor.feed(Open(AccountId(account), Amount(cast("int", self.cap))))

    def _bill_told(self, data: dict[str, Any]) -> None:
        """Let a told cost stand for the bill where the log has none; the first evidence decides which kind it is."""
        kind, amount, monitor = data.get("event"), data.get("amount"), self.monitor
        if kind == "bill":
            if self.assumed:
                raise Unusable(
                    f"this is a bill, but since line {self.assumed_line:,} settled costs have counted as bills",
                    "if bills can come after settlement, or calls can cost nothing, give --bills logged",
                )
            if self.bills == "auto":
                self.bills = "logged"
        elif len(data) != 3 or type(amount) is not int or amount <= 0:
            return
        elif kind == "settle":
            hold = monitor.hold(data.get("hold"))
            # A ledger that logs what it sends, and settles what it has not sent, is wrong about it.
            if hold is None or hold.state in RESOLVED or hold.billed or (self.bounds.sends and not hold.calls):
                return
            call = hold.calls[-1] if hold.calls else CallId(f"{hold.id} (told)")
            if not hold.calls:
                monitor.feed(Send(hold.id, call))
            self._assume(monitor.feed(Bill(call, Amount(amount))))
        elif kind == "record" and monitor.knows(data.get("account")):
            account = AccountId(data["account"])
            monitor.may_have_overlapped()  # it says nothing of when the call began
            self._assume(monitor.spend_unheld(account, amount, Record(account, Amount(amount))))

    def _assume(self, found: tuple[Finding, ...]) -> None:
        self.bills = "settled"
        self.assumed += 1
        self.assumed_line = self.assumed_line or self.notes.at
        self.notes.found(found)

    # ------------------------------------------------------------------------------------ mapped events

    def _mapped(self, lines: Iterable[dict[str, Any]], mapping: LogMapping) -> None:
        unseen = Unseen(mapping)
        waiting = None if mapping.window is None else Ordered(mapping.window, self._odd_time)
        try:
            for data in lines:
                for made in mapping.made(data):
                    if isinstance(made, BadRecord):
                        self._unusable(Unusable(made.message, made.hint))
                    elif self._counts(made, mapping):
                        unseen.look(made, self.notes.at)
                        self._record(made, waiting)
                if waiting is not None:
                    self._turn(waiting.ready())
        except KeyboardInterrupt:
            self.interrupted = True  # what was read counts, also where it still waits for its turn
        if waiting is not None:
            self._turn(waiting.rest())
        for line, place in unseen.missing():
            self.notes.line = line
            self.notes.warn("path", f"{cut(place.text)}, {place.key}")
        self._excesses(self.families.rest())
        self.notes.line = 0

    def _counts(self, made: Made, mapping: LogMapping) -> bool:
        """Return whether the events of a record count; say what is wrong with it, or why it does not."""
        bill = _stated(made)
        kind, excesses = self.families.place(made, bill, self.notes.at)
        self._excesses(excesses)
        if kind == TWICE:
            self.notes.warn("repeated")
            return False
        if kind == RETOLD and bill is not None:
            self.notes.warn("told-twice")
            self._retold(made, bill)
            return False
        if made.rule is None or not made.rule.emit:
            self.ignored += 1
            if made.rule is None or not made.rule.repeats or made.node is None:
                path = carries_usage(made.record, mapping.amounts, models=made.rule is None)
                if path:
                    self.notes.warn("left-out", cut(repr(path)))
            return False
        for sentence in made.broken:
            self.notes.warn("contradiction", cut(sentence))
        return True

    def _retold(self, made: Made, bill: Stated) -> None:
        """Count what may be another account of a call at the upper end of its account, and not at the lower."""
        event = next((e for _, e in made.events if isinstance(e.get("account"), str)), None)
        if event is not None:
            if self.cap is not None:
                self._open_first(event)
            self.bounds.of(AccountId(event["account"])).add(1, bill.high or 0, bill.high is None)

    def _record(self, made: Made, waiting: Ordered | None) -> None:
        """Take the events of a record, or let them wait until it is their time."""
        events = [event for _, event in made.events]
        if self.lenient and len(events) > 1:
            opens = self.cap is not None and (self.mapping is None or self.mapping.root is None)
            if why := obstacle(events, self.monitor, self.waiting_names, opens):
                self._unusable(Unusable(why))
                return
        if waiting is not None:
            if self.lenient:
                for event in events:
                    self.waiting_names.add(event, 1)
            waiting.add(self.notes.at, made.events)
            return
        kinds = {event["event"] for event in events}
        if "reserve" in kinds and kinds & {"settle", "forfeit"}:
            self.monitor.may_have_overlapped()  # the record is of a whole call: when it began, and ended, is not in it
        for at, event in made.events:
            if at is not None:
                self.notes.clock(at)
            self._guard(event)

    def _turn(self, events: Iterable[tuple[int, dict[str, Any]]]) -> None:
        for line, event in events:
            self.notes.line = line
            if self.lenient:
                self.waiting_names.add(event, -1)
            self._guard(event)
        self.notes.line = 0

    def _excesses(self, excesses: Iterable[Excess]) -> None:
        before = self.notes.line
        for excess in excesses:
            self.notes.line = excess.line
            self.notes.warn("repeats-more", excess.detail)
        self.notes.line = before

    def _odd_time(self, name: str, detail: str) -> None:
        self.monitor.may_have_overlapped()  # when calls began and ended is not known
        self.notes.warn(name, detail)

    # ------------------------------------------------------------------------------------------- result

    def _result(self) -> Audit:
        monitor = self.monitor
        report = monitor.report()
        self.notes.line = self.records.lines
        self.notes.found(f for f in report.findings if f.anomaly == "stranded")
        ends = self.bounds.ends(self.bills != "logged", report.exercise.overran)
        accounts = [e.account for e in ends]
        roots = sorted(self._roots(ends), key=lambda r: -r.overshoot)
        broken = report.refuted is not None or any(report.verdicts[p] is Verdict.VIOLATED for p in JUDGED)
        doubts = self._doubts(report.exercise, ends)
        verdict = Verdict.VIOLATED if broken else Verdict.UNKNOWN if doubts else Verdict.SOUND
        return Audit(
            name=self.name,
            lines=self.records.lines,
            events=self.events,
            ignored=self.ignored,
            verdict=verdict,
            doubts=() if broken else tuple(doubts),
            verdicts={p: Verdict.UNKNOWN if doubts and v is Verdict.SOUND else v for p, v in report.verdicts.items()},
            refuted=report.refuted,
            findings=tuple(sorted(self.notes.findings, key=lambda f: f.line)),
            counts=dict(self.notes.counts),
            exercise=replace(report.exercise, overlapped=monitor.overlapped),
            roots=tuple(roots[:_ROOTS]),
            root_count=len(roots),
            slice_count=len(accounts) - len(roots),
            open_holds=sum(a.holds for a in accounts),
            overshot_roots=sum(r.overshoot > 0 for r in roots),
            bills="settled" if self.assumed else "logged" if self.bills == "logged" else "none",
            assumed=tuple(self._assumed(ends)),
            warnings=tuple(sorted(self.notes.warned.values(), key=lambda w: (w.line, w.name))),
            notes=self.mapping.notes if self.mapping is not None else (),
            unit=self.mapping.unit if self.mapping is not None else "units",
            interrupted=self.interrupted,
        )

    def _roots(self, ends: Iterable[Ends]) -> Iterator[Root]:
        spent: dict[AccountId, int] = {}
        held: dict[AccountId, int] = {}
        for a in self.monitor.accounts():
            spent[a.root] = spent.get(a.root, 0) + a.spent
            held[a.root] = held.get(a.root, 0) + a.held
        for end in ends:
            a = end.account
            if a.parent is None:
                yield Root(a.id, a.granted, end.low, end.high, end.calls, spent[a.id], held[a.id], a.peak, a.windows)

    def _doubts(self, exercise: Exercise, ends: list[Ends]) -> list[str]:
        doubts = [end.doubt for end in ends if not end.fits]
        if len(doubts) > _ROOTS:
            doubts = [*doubts[:_ROOTS], f"and so for {len(doubts) - _ROOTS:,} more accounts"]
        if not exercise.admitted:
            doubts.append("no call was admitted: the log says nothing of how calls are admitted")
        elif not any(end.account.spent or end.low for end in ends):
            doubts.append("nothing was spent: the log exercises nothing")
        elif not exercise.informative:
            doubts.append("the cap never came into play: no call was refused, and less than half of it was used")
        return doubts + self.notes.doubts

    def _assumed(self, ends: Iterable[Ends]) -> Iterator[str]:
        if self.assumed:
            yield _TOLD.format(count=self.assumed) if self.assumed > 1 else _TOLD_ONCE
        calls = sum(end.calls for end in ends if end.account.parent is None and end.high is not None)
        if calls:
            yield _LOST.format(count=calls, calls="call has" if calls == 1 else "calls have")
        if self.mapping is not None:
            yield from self.mapping.assumed


_FOREIGN = f"foreign logs need --mapping: a file, or one that ships: {', '.join(shipped())}"


def _stated(made: Made) -> Stated | None:
    """Return what a record says of bills; None where it says nothing of any."""
    events = [event for _, event in made.events]
    told = [e for e in events if e["event"] == "bill"] or [e for e in events if e["event"] in ("settle", "record")]
    if not told or not all(isinstance(e.get("amount"), int) for e in told):
        return None
    most = [e.get("at_most", e["amount"]) for e in told]
    low = sum(e["amount"] for e in told)
    return Stated(low, None if None in most else sum(cast("list[int]", most)))
