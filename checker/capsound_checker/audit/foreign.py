"""The records of a foreign log: which of them count, how often, and in which order their events are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Protocol, cast

from capsound.amounts import AccountId
from capsound.live_books import LiveAccount
from capsound.monitor_fast import FastMonitor
from capsound_checker.audit.bounds import Bounds
from capsound_checker.audit.calls import Noted
from capsound_checker.audit.doubts import Unseen, carries_usage
from capsound_checker.audit.keys import ByKey, Merged
from capsound_checker.audit.noting import Notes
from capsound_checker.audit.ordering import Turn
from capsound_checker.audit.ordering import Waiting as Ordered
from capsound_checker.audit.records import Unusable
from capsound_checker.audit.rules import LogMapping, Made
from capsound_checker.audit.sampled import Traces, told
from capsound_checker.audit.spending import Spending
from capsound_checker.audit.streams import Streams
from capsound_checker.audit.times import Moment, moment
from capsound_checker.audit.tree import RETOLD, TWICE, Excess, Families, Stated
from capsound_checker.audit.units import amount
from capsound_checker.audit.values import BadRecord
from capsound_checker.audit.whole import Waiting, obstacle
from capsound_checker.intake.limits import cut


class Judge(Protocol):
    """Who takes the events, and is told what is wrong with a record."""

    notes: Notes
    monitor: FastMonitor
    bounds: Bounds
    spending: Spending
    cap: int | None
    lenient: bool
    assume: frozenset[str]

    def guard(self, data: dict[str, Any]) -> None:
        """Take an event, or say what is wrong with it."""

    def unusable(self, error: Unusable) -> None:
        """Leave a record out, or stop."""

    def open_first(self, data: dict[str, Any]) -> None:
        """Open the account of an event where it is used for the first time."""


@dataclass(slots=True)
class Foreign:
    """One pass over the records of a foreign log."""

    SET_UP: ClassVar[frozenset[str]] = frozenset({"mapping", "judge", "interrupted"})

    mapping: LogMapping
    judge: Judge
    ignored: int = 0
    interrupted: bool = False
    resent: int = 0
    """How many calls may have been sent more often than was told."""
    families: Families = field(default_factory=Families)
    waiting_names: Waiting = field(default_factory=Waiting)
    traces: Traces = field(default_factory=Traces)
    unseen: Unseen = field(init=False)
    streams: Streams | None = field(init=False)
    ordered: Ordered | None = field(init=False)
    keyed: ByKey | None = field(init=False)

    def __post_init__(self) -> None:
        mapping = self.mapping
        self.unseen = Unseen(mapping)
        self.ordered = None if mapping.window is None else Ordered(mapping.window, self._odd_time)
        paired = any(rule.awaits is not None for rule in mapping.rules)
        self.streams = Streams(mapping.window) if paired else None
        self.keyed = None if mapping.key is None else ByKey(mapping.key)

    def run(self, lines: Iterable[Iterable[Made | BadRecord]]) -> None:
        """Take what the mapping makes of each line.

        An interrupt ends them: what was read counts, also where it still waits for its turn.
        """
        ordered = self.ordered
        try:
            for one in lines:
                for made in _by_end(one):
                    if isinstance(made, BadRecord):
                        self.judge.unusable(Unusable(made.message, made.hint))
                    elif not self._counts(made):
                        continue
                    elif self.streams is None:
                        self._once(made)
                    else:
                        self._joined(self.streams.add(self.judge.notes.at, made))
                if ordered is not None:
                    self._turn(ordered.ready())
        except KeyboardInterrupt:
            self.interrupted = True
        if self.streams is not None:
            self._joined(self.streams.rest())
            self.ignored += self.streams.joined
        if self.keyed is not None:
            self._told(self.keyed.rest())
        if ordered is not None:
            self._turn(ordered.rest())
        notes = self.judge.notes
        for line, place in self.unseen.missing():
            notes.line = line
            notes.warn("path", f"{cut(place.text)}, {place.key}")
        self._excesses(self.families.rest())
        notes.line = 1
        if part := self.traces.chosen():
            notes.warn("chosen", part)
        notes.line = 0

    # ------------------------------------------------------------------------------------- what counts

    def _counts(self, made: Made) -> bool:
        """Return whether the events of a record count; say what is wrong with it, or why it does not."""
        bill, notes = _stated(made), self.judge.notes
        placed = self.families.place(made, bill, notes.at)
        self._excesses(placed.excesses)
        for sentence in made.broken if placed.kind in (TWICE, RETOLD) else ():
            notes.warn("contradiction", cut(sentence))  # a second account of a call may know more of it than the first
        if placed.kind == TWICE:
            notes.warn("repeated")
            return False
        if placed.kind == RETOLD and bill is not None:
            notes.warn("told-twice")
            self._retold(made, placed.more)
            return False
        rule = made.rule
        if made.node is not None:
            self.traces.add(made.node.group)
        if rule is None or not rule.counts:
            self.ignored += 1
            if rule is None or not rule.repeats:
                facts = made.facts
                path = facts.usage if facts else carries_usage(made.record, self.mapping.amounts, models=rule is None)
                if path and made.credit is None:
                    notes.warn("left-out", cut(repr(path)))
            if made.credit is not None:
                notes.warn("credit", amount(made.credit, self.mapping.unit))
            return False
        return True

    def _doubts(self, made: Made) -> None:
        """Say what is doubtful about a record that counts."""
        notes = self.judge.notes
        for sentence in made.broken:
            notes.warn("contradiction", cut(sentence))
        if made.bill is not None and made.bill.unpriced:
            notes.warn("unpriced", cut(made.bill.unpriced))
        if sampled := made.facts.sampled if made.facts else told(made.record):
            notes.warn("sampled", cut(sampled))
        if (writer := _hides_retries(made)) is not None:
            self.resent += 1
            if "A10" not in self.judge.assume:
                notes.warn("retries", cut(writer, 80))

    def _retold(self, made: Made, more: int | None) -> None:
        """Count what may be another account of a call at the upper end of its account, and not at the lower."""
        event = next((e for _, e in made.events if isinstance(e.get("account"), str)), None)
        if event is not None:
            if self.judge.cap is not None:
                self.judge.open_first(event)
            self.judge.bounds.of(AccountId(event["account"])).add(1, more or 0, more is None)

    def _joined(self, records: Iterable[tuple[int, Made]]) -> None:
        """Take records that are one with none that is still to come."""
        notes = self.judge.notes
        for line, made in records:
            notes.line = line
            self._once(made)
        notes.line = 0

    def _once(self, made: Made) -> None:
        """Take a record if no other one tells the same bill."""
        if self.keyed is None:
            self._record(made)
        else:
            self._told(self.keyed.add(self.judge.notes.at, made))

    def _told(self, told: Iterator[tuple[int, Made] | Merged] | Iterator[tuple[int, Made]]) -> None:
        """Take the records whose turn it is, and count those that tell a bill again."""
        notes = self.judge.notes
        for one in told:
            notes.line = one.line if isinstance(one, Merged) else one[0]
            if not isinstance(one, Merged):
                self._record(one[1])
            elif one.differs:
                notes.warn("told-twice")
                bill = _stated(one.made)
                self._retold(one.made, 0 if bill is None else bill.high)
            else:
                notes.warn("repeated")
        notes.line = 0

    def _excesses(self, excesses: Iterable[Excess]) -> None:
        notes = self.judge.notes
        before = notes.line
        for excess in excesses:
            notes.line = excess.line
            if excess.account and excess.requests:
                # What it says was used beyond its requests was used by requests that are in no record.
                notes.warn("sums-more", excess.detail)
                known = self.judge.bounds.of(AccountId(excess.account))
                known.add(1, excess.says - excess.found, self.mapping.money.prices is not None)
            else:
                notes.warn("repeats-more", excess.detail)
        notes.line = before

    # ---------------------------------------------------------------------------------------- its events

    def _record(self, made: Made) -> None:
        """Take the events of a record, or let them wait until it is their time."""
        judge, ordered = self.judge, self.ordered
        self._doubts(made)
        self.unseen.look(made, judge.notes.at)
        events = [event for _, event in made.events]
        if judge.lenient and len(events) > 1:
            opens = judge.cap is not None and self.mapping.root is None
            if why := obstacle(events, judge.monitor, self.waiting_names, opens):
                judge.unusable(Unusable(why))
                return
        if ordered is not None:
            if judge.lenient:
                for event in events:
                    self.waiting_names.add(event, 1)
            ordered.add(judge.notes.at, made.events)
            return
        kinds = {event["event"] for event in events}
        if "reserve" in kinds and kinds & {"settle", "forfeit"}:
            judge.monitor.may_have_overlapped()  # the record is of a whole call: when it began, and ended, is not in it
        for at, event in made.events:
            judge.notes.now = None
            if at is not None:
                judge.notes.clock(at)
            self._hand_on(event)

    def _turn(self, events: Iterable[Turn]) -> None:
        notes, judge = self.judge.notes, self.judge
        for line, at, event in events:
            notes.line, notes.now = line, at
            if judge.lenient:
                self.waiting_names.add(event, -1)
            self._hand_on(event)
        notes.line = 0

    def _hand_on(self, event: dict[str, Any]) -> None:
        spending = self.judge.spending
        spending.model, spending.agent = (event.model, event.agent) if isinstance(event, Noted) else ("", "")
        self.judge.guard(event)
        if isinstance(event, Noted) and event.ranged:
            self._more(AccountId(event["account"]), event.more)

    def _more(self, account: AccountId, more: int | None) -> None:
        """Count what a call may have cost beyond what is known of it."""
        judge = self.judge
        judge.bounds.of(account).add(1, more or 0, more is None)
        if (live := judge.monitor.state.accounts.get(account)) is not None:
            judge.spending.more(cast("LiveAccount", live), more)

    def _odd_time(self, name: str, detail: str) -> None:
        self.judge.monitor.may_have_overlapped()  # when calls began and ended is not known
        self.judge.notes.warn(name, detail)


_AT_ONCE = 1000
"""How many records of a line are put in order at once."""


def _by_end(records: Iterable[Made | BadRecord]) -> Iterator[Made | BadRecord]:
    """Yield the records of a line, those that ended first come first: exporters group them by who wrote them.

    What is inside a request ends before it, and tells more of it: how often it was sent, say.
    """
    rest = iter(records)
    while some := list(islice(rest, _AT_ONCE)):
        yield from sorted(some, key=_end) if len(some) > 1 else some


def _hides_retries(made: Made) -> str | None:
    """Return who wrote a record, if it does not tell of requests that were sent again."""
    if made.facts is not None:
        return made.facts.resent
    call = None if made.rule is None else made.rule.call
    return call.written_by(made.record) if call is not None and call.hides_retries(made.record) else None


def _end(made: Made | BadRecord) -> tuple[bool, Moment]:
    ended = None if isinstance(made, BadRecord) else moment(made.times[1])
    return ended is not None, 0 if ended is None else ended


def _stated(made: Made) -> Stated | None:
    """Return what a record says of bills; None where it says nothing of any."""
    events = [event for _, event in made.events]
    account = next((e["account"] for e in events if isinstance(e.get("account"), str)), "")
    told = [e for e in events if e["event"] == "bill"] or [e for e in events if e["event"] in ("settle", "record")]
    if not told or not all(isinstance(e.get("amount"), int) for e in told):
        return None
    most = [e.get("at_most", e["amount"]) for e in told]
    low = sum(e["amount"] for e in told)
    return Stated(low, None if None in most else sum(cast("list[int]", most)), account)
