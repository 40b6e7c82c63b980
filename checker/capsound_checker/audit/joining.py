"""A log judged in stretches, by others: their sums, put in place one after the other, make the report of one auditor.

The first lines are read here, until it is known what counts as a bill. Then every stretch is given away with what is
known (``stretches``), and what comes back is joined in the order of the log: where all that a stretch takes for granted
is so, its sums are added, and the lines that it left are judged between them. Where something is not so, whatever was
added is right up to there, and the rest of the stretch is judged here, line by line. So is a stretch whose worker died.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.events import Open
from capsound.live_books import LiveAccount, LiveHold
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import Auditor
from capsound_checker.audit.lane import Lane
from capsound_checker.audit.lots import UTF, Lot, Range, lots, pieces, ranges, read_lot
from capsound_checker.audit.spending import KEYS
from capsound_checker.audit.stretches import (
    Carried,
    Left,
    Resolved,
    Step,
    Summary,
    Terms,
    summarised,
)
from capsound_checker.audit.times import moment
from capsound_checker.audit.typed import Reading, reading
from capsound_checker.audit.unbroken import unbroken
from capsound_checker.intake.lines import Lines, LongLine, in_blocks

SIZE = 8 << 20
"""How many bytes a stretch has, or few more."""

HEAD = 1 << 18
"""How many bytes are read here at first, or few more."""


class Team:
    """Those who judge stretches."""

    size: int
    """How many of them there are."""
    here: bool
    """Whether they see the files that are seen here."""

    def begin(self, terms: Terms, lot: Lot) -> object:
        """Give a stretch away; return what it is asked for with."""
        raise NotImplementedError

    def finish(self, ticket: object) -> Summary | None:
        """Wait for what a stretch leaves behind; None where nobody has judged it."""
        raise NotImplementedError


def joined(
    source: Iterable[str],
    asked: Asked,
    team: Team,
    notes: tuple[str, ...] = (),
    *,
    size: int = SIZE,
    head: int = HEAD,
) -> Audit:
    """Judge a log in our own vocabulary in stretches: the report is that of ``audit``, and so is the error.

    Raises ``BadLog`` for a line that cannot be used, naming it, and for a log without a single event.
    """
    auditor = asked.auditor(notes=notes)
    try:
        _run(asked, auditor, in_blocks(source), team, size, head)
    except KeyboardInterrupt:
        auditor.interrupted = True
    auditor.lane.put_in_order()
    return auditor.finish()


def _run(asked: Asked, auditor: Auditor, lines: Lines, team: Team, size: int, head: int) -> None:
    read = reading()
    if read is None:
        auditor.natives(lines)
        return
    blocks = lines.blocks()
    taken = 0
    for block in blocks:
        auditor.natives(Lines([block]))
        taken += len(block) if isinstance(block, bytes) else sum(len(one.encode(*UTF)) for one in block)
        if isinstance(block, list) and any(isinstance(one, LongLine) for one in block):
            lines.path = ""  # it is not known how long it was
        if auditor.records.in_document:
            auditor.natives(Lines(blocks))
            return
        decided = auditor.bills == "logged" or auditor.assumed_line > 0
        if taken >= head and decided and auditor.records.whole:
            break
    else:
        return
    given = ranges(lines.path, taken, size) if lines.path and team.here else lots(blocks, size)
    _stretches(Joining(asked, auditor, read), given, team, lines.tell)


def _stretches(
    joining: Joining, given: Iterator[Lot | list[str]], team: Team, tell: Callable[[str], object] | None
) -> None:
    """Give stretches away, a few more than there are workers, and join them in their order."""
    waiting: deque[tuple[object, Terms, Lot]] = deque()

    def join_first() -> None:
        ticket, terms, lot = waiting.popleft()
        with unbroken():
            joining.stopped = True
            joining.join(team.finish(ticket), terms, lot)
            joining.stopped = False
        if tell is not None and isinstance(lot, Range):
            tell(f"{joining.auditor.records.line:,} lines")

    try:
        for lot in given:
            if isinstance(lot, list):
                while waiting:
                    join_first()
                joining.alone([lot])
            else:
                terms = joining.terms
                waiting.append((team.begin(terms, lot), terms, lot))
                if len(waiting) > team.size + 1:
                    join_first()
    finally:  # also after an interrupt: what was read counts
        while waiting and not joining.stopped:
            join_first()


@dataclass(slots=True)
class Later:
    """What was resolved in a stretch, and has not been asked for. ``places`` say where its turns are among all."""

    resolved: Resolved
    base: int
    places: list[tuple[int, int]]
    holds: dict[HoldId, int] = field(init=False)
    calls: dict[CallId | None, int] = field(init=False)
    rows: list[Carried] | None = None

    def __post_init__(self) -> None:
        self.holds = {name: number for number, name in enumerate(self.resolved.ids)}
        self.calls = {name: number for number, name in enumerate(self.resolved.calls)}
        self.calls.pop(None, None)

    @property
    def last(self) -> int:
        """The turn of the last one; -1 where there is none."""
        return self.turn(len(self.resolved.turns) - 1) if self.resolved.turns else -1

    def turn(self, number: int) -> int:
        """Return which of all resolutions was that of one of them."""
        return _turn(self.places, self.resolved.turns[number])

    def named(self, hold: object, call: object) -> set[int]:
        """Return those of a name."""
        names = (
            self.holds.get(cast("HoldId", hold)) if isinstance(hold, str) else None,
            self.calls.get(cast("CallId", call)) if isinstance(call, str) else None,
        )
        return {number for number in names if number is not None}

    def left(self, first: int) -> list[int]:
        """Return those that nobody has asked for, from a turn on."""
        return [number for number in self.holds.values() if self.turn(number) >= first]

    def take(self, number: int) -> Carried:
        """Return one, which is not here any more."""
        if self.rows is None:
            self.rows = self.resolved.rows()
        row = self.rows[number]
        del self.holds[row.id]
        if row.call is not None:
            del self.calls[row.call]
        return row


def _turn(places: list[tuple[int, int]], turn: int) -> int:
    """Return which of all resolutions one of a stretch was: ``places`` are where those of each step began."""
    first, place = places[bisect_right(places, turn, key=lambda one: one[0]) - 1]
    return place + turn - first


@dataclass(slots=True)
class Joining:
    """What is known of a log, and how a stretch is joined to it.

    ``turns`` are those of the resolved holds that are remembered here, among all resolutions so far, of which there
    were ``resolved``. ``later`` are more of them. ``base`` is the line before the stretch at hand; ``places`` say where
    its turns are among all, of which ``done`` were counted.
    """

    asked: Asked
    auditor: Auditor
    read: Reading
    strange: set[str] = field(default_factory=set)
    turns: deque[int] = field(default_factory=deque)
    resolved: int = 0
    base: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)
    done: int = 0
    later: list[Later] = field(default_factory=list)
    stopped: bool = False
    """Whether a stretch could not be joined to its end: there was a line that cannot be used."""

    def __post_init__(self) -> None:
        self._count_resolved()

    def _count_resolved(self) -> None:
        """Count the resolutions of lines that were judged here."""
        lane = self.auditor.lane
        self.resolved = lane.forgotten + len(lane.latest)
        self.turns = deque(range(lane.forgotten, self.resolved))

    @property
    def terms(self) -> Terms:
        """What is known for a stretch that is given away now."""
        auditor = self.auditor
        return Terms(auditor.bills, auditor.bounds.sends, auditor.assumed_line > 0, frozenset(self.strange))

    def alone(self, blocks: Iterable[bytes | list[str]]) -> None:
        """Judge lines here."""
        auditor = self.auditor
        self._recall_all()
        events = self.read.blocks(blocks, auditor.records.line, beside=auditor.spending.one_by_one)
        auditor.lane.drive(events, Lane(auditor))
        self._count_resolved()

    def join(self, summary: Summary | None, terms: Terms, lot: Lot) -> None:
        """Join a stretch to what was known before it."""
        if summary is None or not self._can_begin(summary):
            self.alone(pieces(read_lot(lot)))
            return
        self.base, self.places = self.auditor.records.line, []
        self.done = 0
        accounts: list[LiveAccount | None] = [None] * len(summary.accounts)
        for number, step in enumerate(summary.steps):
            if not self._fits(step, accounts, summary, terms):
                self._stop(summary.steps[number - 1].line if number else 0, terms, read_lot(lot))
                return
            self._add(step, accounts)
            if step.left is not None:
                self._judge(step.line, step.left)
        self._end(summary)

    # --------------------------------------------------------------------------------- what was taken for granted

    def _can_begin(self, summary: Summary) -> bool:
        """Return whether no name of a stretch was taken before it, and there is room for all that is counted apart."""
        lane, spending = self.auditor.lane, self.auditor.spending
        mine, theirs = spending.tallied().tallies, summary.spent.tallies
        holds, calls = summary.holds.split("\n"), summary.calls.split("\n")
        return (
            lane.made.keys().isdisjoint(holds)
            and lane.sent.keys().isdisjoint(calls)
            and all(later.holds.keys().isdisjoint(holds) for later in self.later)
            and all(later.calls.keys().isdisjoint(calls) for later in self.later)
            and all(len(a.amounts) + len(b.amounts) < KEYS for a, b in zip(mine, theirs, strict=True))
        )

    def _fits(self, step: Step, accounts: list[LiveAccount | None], summary: Summary, terms: Terms) -> bool:
        """Return whether all that changed up to a line could change without a word."""
        auditor = self.auditor
        if (auditor.bills, auditor.bounds.sends, auditor.assumed_line > 0) != (terms.bills, terms.sends, terms.told):
            return False
        lane = auditor.lane
        good = True
        for number, change in step.changes:
            account = accounts[number]
            if account is None:
                name = summary.accounts[number]
                account = accounts[number] = self._account(name)
            if account is None:
                return False
            if not lane.fits(account, change):
                good = False
                self.strange |= {one.id for one in lane.accounts() if one.root == account.root}
        return good

    def _account(self, name: str) -> LiveAccount | None:
        """Return an account, opened here if it has a cap from outside."""
        lane, cap = self.auditor.lane, self.auditor.cap
        if not lane.knows(name) and cap is not None:
            lane.feed(Open(AccountId(name), Amount(cap)))
        return lane.account(name)

    # --------------------------------------------------------------------------------- step by step

    def _add(self, step: Step, accounts: list[LiveAccount | None]) -> None:
        lane = self.auditor.lane
        for number, change in step.changes:
            account = accounts[number]
            assert account is not None
            lane.change(account, change)
        lane.count(step.admitted, step.sent, step.settled, step.resolved, overlapped=step.overlapped)
        self.places.append((self.done, self.resolved))
        self.done += step.resolved
        self.resolved += step.resolved
        self._forget()

    def _judge(self, line: int, left: Left) -> None:
        """Judge a line that was left, with the holds that it names."""
        auditor, lane = self.auditor, self.auditor.lane
        for hold in left.holds:
            self._take(hold, self.base, None if hold.turn is None else _turn(self.places, hold.turn))
        if isinstance(left.event, dict):
            self._recall(left.event)
        number = self.base + line
        auditor.records.line = number
        lane.at_line(number)
        before, latest = len(lane.latest), lane.latest[-1] if lane.latest else None
        if isinstance(left.event, str):
            for _ in auditor.records.one(left.event, iter(())):
                raise AssertionError(left.event)
        else:
            auditor.notes.now = None if left.at is None else moment(left.at)
            if left.event.get("event") == "reserve" and not left.model:
                self._unnamed(str(left.event.get("hold")))
            auditor.of_model(left.event, left.model)
        if lane.latest and lane.latest[-1] is not latest:
            self.turns.append(self.resolved)
            self.resolved += 1
            if len(lane.latest) == before:
                self.turns.popleft()
        self._forget()

    def _unnamed(self, hold: str) -> None:
        """Forget the model of a hold that was forgotten itself, where its name is used again."""
        named = self.auditor.spending.named
        if hold in named and self.auditor.lane.hold(hold) is None:
            del named[hold]

    def _live(self, carried: Carried, base: int) -> LiveHold:
        """Put a hold of a stretch into the books, with its model."""
        lane = self.auditor.lane
        owner = lane.account(carried.account)
        assert owner is not None
        hold = carried.live(owner, base)
        lane.put(hold)
        named = self.auditor.spending.named
        if carried.model is not None:
            named[hold.id] = carried.model
        elif named:
            named.pop(hold.id, None)  # of another hold of this name, which was forgotten
        return hold

    def _take(self, carried: Carried, base: int, turn: int | None) -> None:
        """Take a hold out of a stretch; one that would be forgotten by now is forgotten."""
        if turn is None:
            self._live(carried, base)
        elif turn >= self.resolved - self.auditor.memory:
            index = bisect_left(self.turns, turn)
            self.turns.insert(index, turn)
            self.auditor.lane.latest.insert(index, self._live(carried, base))

    def _recall(self, event: dict[str, Any]) -> None:
        """Take what an event names out of what was resolved in stretches before."""
        hold, call = event.get("hold"), event.get("call")
        for later in self.later:
            for number in later.named(hold, call):
                self._take(later.take(number), later.base, later.turn(number))

    def _recall_all(self) -> None:
        """Take all that was resolved in stretches before."""
        lane = self.auditor.lane
        first = self.resolved - self.auditor.memory
        rest = [(later.turn(n), later.take(n), later.base) for later in self.later for n in later.left(first)]
        fresh = [(turn, self._live(row, base)) for turn, row, base in rest]
        ordered = sorted(chain(zip(self.turns, lane.latest, strict=True), fresh), key=lambda one: one[0])
        lane.remember(hold for _, hold in ordered)
        self.turns = deque(turn for turn, _ in ordered)
        self.later.clear()

    def _forget(self) -> None:
        """Forget what was resolved so many resolutions ago."""
        lane, turns = self.auditor.lane, self.turns
        first = self.resolved - self.auditor.memory
        while turns and turns[0] < first:
            turns.popleft()
            lane.forget(lane.latest.popleft())
        lane.forgotten = max(lane.forgotten, first)

    # --------------------------------------------------------------------------------- the end of a stretch

    def _stop(self, line: int, terms: Terms, data: bytes) -> None:
        """Join a stretch up to a line that was left, and judge the rest of it here."""
        end = 0
        if line:
            for _ in range(line):
                end = data.index(b"\n", end) + 1
            summary = summarised(self.asked.auditor(), terms, data[:end])
            assert summary is not None
            self._end(summary)
        self.alone(pieces(data[end:]))

    def _end(self, summary: Summary) -> None:
        """Take what a stretch leaves behind, after all of its steps."""
        auditor, notes = self.auditor, self.auditor.notes
        if auditor.spending.named:
            for name in summary.holds.split("\n"):
                self._unnamed(name)
        first = self.resolved - auditor.memory
        self.later.append(Later(summary.resolved, self.base, self.places))
        self.later = [later for later in self.later if later.last >= first]
        for one in summary.open:
            self._live(one, self.base)
        auditor.events += summary.events
        auditor.assumed += summary.assumed
        auditor.spending.put_in(summary.spent)
        for told, take in ((summary.first_time, notes.clock), (summary.first_number, notes.sequence)):
            if told is not None:
                notes.line = self.base + told[0]
                take(told[1])
        notes.line = 0
        notes.go_on(summary.last_time, summary.last_number)
        notes.add(summary.warned.values(), self.base)
        auditor.records.line = self.base + summary.lines
