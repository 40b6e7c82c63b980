"""``capsound audit``: the monitor on what a production system wrote down.

A log is our vocabulary of events, one JSON object a line, or anything that a mapping turns into it. It is read once,
from first to last line, in memory that does not grow with its length (``capsound.monitor_fast``). What cannot be
known from it is said: which amounts stand for bills, which lines are missing, and what was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from capsound.accounts import RESOLVED
from capsound.amounts import AccountId, Amount, CallId, as_amount
from capsound.errors import BadAmount, BadTrace, CapsoundError
from capsound.events import Bill, Open, Record, Send
from capsound.live_books import LiveAccount
from capsound.monitor import Finding
from capsound.monitor_fast import MEMORY, FastMonitor, UnknownHandle
from capsound.monitor_lane import LaneMonitor
from capsound_checker.audit.audited import UNCAPPED, Audit, Shown
from capsound_checker.audit.bounds import Bounds
from capsound_checker.audit.concluding import concluded
from capsound_checker.audit.lane import Lane
from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.noting import Notes
from capsound_checker.audit.records import WANTED, Records, Unusable
from capsound_checker.audit.spending import Spending
from capsound_checker.audit.typed import reading
from capsound_checker.audit.values import BadRecord, shown
from capsound_checker.intake.limits import cut
from capsound_checker.intake.lines import Lines, in_blocks

if TYPE_CHECKING:
    from capsound_checker.audit.ahead import Ahead
    from capsound_checker.audit.capsfile import Ceiling
    from capsound_checker.audit.checkpoint import Part
    from capsound_checker.audit.foreign import Foreign
    from capsound_checker.audit.resuming import Keeper
    from capsound_checker.audit.rules import LogMapping, Made

BILLS = ("auto", "logged", "settled")
"""Where true bills are taken from: ``bill`` events, told costs where there are none, or whichever the log has."""


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
    assume: frozenset[str] = frozenset(),
    notes: tuple[str, ...] = (),
    what_if: tuple[int, ...] = (),
    drawn: bool = False,
    ceilings: tuple[Ceiling, ...] = (),
    keeper: Keeper | None = None,
    fast: bool = True,
    ahead: Ahead | None = None,
) -> Audit:
    """Judge a log. ``source`` yields its lines, ``name`` is what errors and the report call it.

    ``cap`` is the cap of every account that is used without having been opened, in place of the one of the mapping.
    ``bills`` is one of ``BILLS``. With ``lenient``, lines that cannot be used are left out and counted. ``memory`` is
    the number of resolved holds that are remembered, ``show`` the number of findings of each anomaly that are kept;
    ``tell`` is given each of those when it is found. ``assume`` names assumptions that are made where the log does not
    show whether they hold: ``A10``. ``notes`` are shown in the report. ``what_if`` are caps of which it is told what
    each would have refused; with ``drawn`` the spending over time is kept for a plot. ``ceilings`` are further caps,
    each with its window; with them accounts need none of their own. ``keeper`` knows of a log that is followed where it
    was left, and keeps what is known of it. Without ``fast`` every line is read and judged in the readable way; the
    report is the same. ``ahead`` yields what the mapping makes of each line, in the order of lines, in place of the
    mapping itself. An interrupt (``KeyboardInterrupt``) ends the log: what is known is returned.

    Raises ``BadLog`` for a line that cannot be used, naming it, and for a log without a single event.
    """
    if bills not in BILLS:
        raise ValueError(f"bills is one of {', '.join(BILLS)}, not {bills!r}")
    begun = Auditor(name, mapping, cap, bills, lenient, memory, show, tell, assume, notes, what_if, drawn, ceilings)
    begun.keeper, begun.fast, begun.ahead = keeper, fast, ahead
    return begun.run(source)


# ---------------------------------------------------------------------------------------------- the work


@dataclass(slots=True)
class Auditor:
    """One pass over a log."""

    SET_UP: ClassVar[frozenset[str]] = frozenset(
        {"name", "mapping", "cap", "lenient", "memory", "show", "tell", "assume", "said", "what_if", "ceilings"}
        | {"drawn", "keeper", "interrupted", "records", "notes", "monitor", "bounds", "spending", "follow", "foreign"}
        | {"lane", "fast", "ahead"}
    )

    name: str
    mapping: LogMapping | None
    cap: int | None
    bills: str
    lenient: bool
    memory: int
    show: int
    tell: Callable[[Shown], object] | None
    assume: frozenset[str]
    said: tuple[str, ...]
    what_if: tuple[int, ...] = ()
    drawn: bool = False
    ceilings: tuple[Ceiling, ...] = ()
    keeper: Keeper | None = None
    fast: bool = True
    ahead: Ahead | None = None
    resent: int = 0
    events: int = 0
    ignored: int = 0
    assumed: int = 0
    assumed_line: int = 0
    """The first line on which a told cost stood for a bill; 0 where there was none."""
    interrupted: bool = False
    records: Records = field(init=False)
    notes: Notes = field(init=False)
    lane: LaneMonitor = field(init=False)
    monitor: FastMonitor = field(init=False)
    bounds: Bounds = field(init=False)
    spending: Spending = field(init=False)
    foreign: Foreign | None = field(init=False)
    follow: dict[object, Callable[[Mapping[str, Any]], None]] = field(init=False)

    def __post_init__(self) -> None:
        self.monitor = self.lane = LaneMonitor(self.memory)
        self.bounds = Bounds(self.monitor)
        self.follow = self.bounds.follow
        self.records = Records(self.unusable, lambda told: self.notes.warn("truncated", told), self.mapping is not None)
        self.notes = Notes(self.records, self.show, self.tell)
        capped = None
        if self.ceilings:
            from capsound_checker.audit.ceilings import Account, Ceilings

            capped = Ceilings([Account(ceiling) for ceiling in self.ceilings])
        exact = self.mapping is not None and self.mapping.nanoseconds
        self.spending = Spending(self.monitor, self.notes, self.what_if, self.drawn, capped, exact)
        self.spending.join(self.follow)
        self.foreign = None
        if self.mapping is not None:
            from capsound_checker.audit.foreign import Foreign

            self.foreign = Foreign(self.mapping, self)

    def run(self, source: Iterable[str]) -> Audit:
        """Take a whole log; return what is known of it."""
        mapping = self.mapping
        if mapping is not None and self.cap is None:
            self.cap = mapping.cap
        if self.cap is None and self.ceilings:
            self.cap = UNCAPPED
        if mapping is not None and mapping.root is not None and self.cap is not None:
            self.monitor.feed(Open(AccountId(mapping.root), Amount(self.cap)))
        foreign = self.foreign
        if self.keeper is not None:
            self.keeper.attach(self._parts(), self.notes, mapping)
        try:
            if foreign is None:
                self.natives(source)
            else:
                foreign.run(self.made(foreign.mapping, source))
                self.resent = foreign.resent
                self.ignored += foreign.ignored
                self.interrupted = self.interrupted or foreign.interrupted
        except KeyboardInterrupt:
            self.interrupted = True
        return self.finish()

    def made(self, mapping: LogMapping, source: Iterable[str]) -> Iterator[Iterable[Made | BadRecord]]:
        """Yield what a mapping makes of each line."""
        records, ahead = self.records, self.ahead
        return (mapping.made(d) for d in records.read(source)) if ahead is None else ahead(source, records)

    def finish(self) -> Audit:
        """Return what is known at the end of the log. Raises ``BadLog`` where it had not a single event."""
        if not self.events and not self.interrupted:
            self._nothing()
        return concluded(self)

    def _parts(self) -> dict[str, Part]:
        """Return everything that knows something of what was read: what others refer to comes first."""
        parts: dict[str, Part] = {
            "monitor": self.monitor,
            "auditor": self,
            "records": self.records,
            "notes": self.notes,
            "bounds": self.bounds,
            "spending": self.spending,
        }
        return parts if self.foreign is None else {**parts, "foreign": self.foreign}

    @property
    def unit(self) -> str:
        """What amounts are counted in."""
        return self.mapping.unit if self.mapping is not None else "units"

    def unusable(self, error: Unusable) -> None:
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
                hint=WANTED if self.mapping else f"{WANTED}; {_foreign()}",
            )
        raise BadLog("the log is empty", where=cut(self.name), hint=f"{WANTED}; is it the right file?")

    # ------------------------------------------------------------------------------------------ events

    def natives(self, source: Iterable[str]) -> None:
        """Take lines in our own vocabulary: by the fast lane, if nothing is asked that it does not follow.

        The first ones are read with care: they may be the beginning of a document that spreads over several.
        """
        records = self.records
        read = reading() if self.fast and not (self.what_if or self.keeper) else None
        lines = source if read is None else in_blocks(source, 256 if self.tell is None else 1)
        for data in records.read(lines):
            self.native(data)
            if read is not None and records.whole and isinstance(lines, Lines) and not records.in_document:
                blocks = read.blocks(lines.blocks(), records.line, beside=self.spending.one_by_one)
                self.lane.drive(blocks, Lane(self))
                return

    def native(self, data: dict[str, Any]) -> None:
        """Take an object in our own vocabulary, with the fields beside it that logs have."""
        if "at" in data:
            self.notes.clock(data.pop("at"))
        else:
            self.notes.now = None
        if "seq" in data:
            self.notes.sequence(data.pop("seq"))
        data.pop("v", None)
        self.of_model(data, data.pop("model") if isinstance(data.get("model"), str) else "")

    def of_model(self, data: dict[str, Any], model: str) -> None:
        """Take the data of an event that tells its model, or does not (an empty text)."""
        self.spending.model = model
        self.guard(data)
        self.spending.model = ""

    def guard(self, data: dict[str, Any]) -> None:
        """Take the data of an event, or say what is wrong with it."""
        try:
            self._take(data)
        except UnknownHandle as error:
            self.notes.warn("unknown-handle", cut(error.message))
        except (BadTrace, BadAmount) as error:
            self.unusable(self._explained(error))
        except Unusable as error:
            self.unusable(error)

    def _explained(self, error: CapsoundError) -> Unusable:
        hint = cut(error.hint)
        if "was never opened" in error.message:
            hint = "give its cap: --cap, or [open] in a mapping" if self.cap is None else "slices are delegated first"
        elif "was never" in error.message:
            hint = "begin the log where it begins"
        elif error.message.startswith("unknown event") and self.mapping is None:
            hint = f"{_foreign()}; {hint}"
        return Unusable(error.message, hint, error.cause)

    def _take(self, data: dict[str, Any]) -> None:
        kind = data.get("event")
        if self.cap is not None:
            self.open_first(data)
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
        if self.ceilings and kind in ("send", "record"):
            self.spending.request(data)
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
        monitor = self.monitor
        found = monitor.take(data)
        self.events += 1
        if late is not None:
            late()
        self.follow["bill"](data)
        if ranged and (hold := monitor.hold(monitor.state.calls.get(data["call"]))) is not None:
            more = self.bounds.ranged(hold, data["amount"], most)
            self.spending.more(hold.owner, more, hold)
        if found:
            self.notes.found(found)

    def open_first(self, data: dict[str, Any]) -> None:
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
            if self.assumed_line:
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
            self.spending.bill(hold.owner, amount, hold)
        elif kind == "record" and monitor.knows(data.get("account")):
            account = AccountId(data["account"])
            monitor.may_have_overlapped()  # it says nothing of when the call began
            self._assume(monitor.spend_unheld(account, amount, Record(account, Amount(amount))))
            self.spending.bill(cast("LiveAccount", monitor.state.accounts[account]), amount, None)

    def _assume(self, found: tuple[Finding, ...]) -> None:
        self.bills = "settled"
        self.assumed += 1
        self.assumed_line = self.assumed_line or self.notes.at
        self.notes.found(found)


def _foreign() -> str:
    from capsound_checker.audit.mapping import shipped

    return f"foreign logs need --mapping: a file, or one that ships: {', '.join(shipped())}"
