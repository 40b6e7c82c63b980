"""A stretch of a log, judged without what came before it: what it changes, and what it has to leave to others.

Nearly every event of a long log is of a call that fits: whatever the balances are, it changes them by the same numbers,
as long as there is enough. So whoever judges a stretch takes every account that it meets for one with room without end,
and keeps by how much each balance has changed, and how low it came. Whoever knows the balances before the stretch sees
whether that was enough (``joining``), and has then judged all of it at the price of a sum.

An event of which this is not so is left: one about a hold that was made before the stretch, one that opens or divides
an account, a refusal, a bill above its hold. It ends the sums so far, and is judged with everything known.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from itertools import chain, islice, starmap
from math import inf
from typing import Any, NamedTuple

from capsound.accounts import RESOLVED, HoldState
from capsound.amounts import AccountId, AgentId, CallId, HoldId
from capsound.live_books import LiveAccount, LiveHold
from capsound.monitor_books import Change
from capsound.monitor_lane import Block, Kinds
from capsound_checker.audit.auditing import Auditor
from capsound_checker.audit.doubts import Warned
from capsound_checker.audit.lane import Counting, stamp
from capsound_checker.audit.lots import Lot, pieces, read_lot
from capsound_checker.audit.spending import Tallied
from capsound_checker.audit.typed import as_data, model_of, reading

ROOM = 1 << 60
"""What every account has, as a stretch takes it."""

PATIENCE, OFTEN = 128, 8
"""A stretch of which more than one line in so many is left, beyond a few, is better judged as a whole."""

_LATER = 1 << 62
"""How many resolved holds a stretch remembers: all of them."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of a log where a stretch is given away, and has to be so where it begins."""

    bills: str
    sends: bool
    told: bool
    """Whether told costs stand for bills."""
    strange: frozenset[str] = frozenset()
    """Accounts whose events are all to be left: there was something about them before."""


class Carried(NamedTuple):
    """A hold of a stretch. ``turn`` counts the resolutions in it; None for one that is open."""

    id: HoldId
    account: AccountId
    amount: int
    state: HoldState
    agent: AgentId | None
    line: int
    billed: int
    call: CallId | None
    turn: int | None
    model: str | None

    def live(self, owner: LiveAccount, line: int) -> LiveHold:
        """Return it as a monitor keeps it, where the stretch begins after ``line``."""
        number = self.line + line
        return LiveHold(self.id, owner.id, self.amount, self.state, self.agent, owner, number, self.billed, self.call)


@dataclass(frozen=True, slots=True)
class Left:
    """A line that is judged with everything known: its event, or its text if it is none."""

    event: dict[str, Any] | str
    at: object
    model: str
    holds: tuple[Carried, ...]
    """The holds of the stretch that it names: whoever judges it takes them, too."""


@dataclass(frozen=True, slots=True)
class Step:
    """What has changed since the step before, up to a line; ``left`` is that line, None at the end of the stretch.

    ``changes`` are those of accounts, by their numbers.
    """

    line: int
    changes: list[tuple[int, Change]]
    admitted: int
    sent: int
    settled: int
    resolved: int
    overlapped: bool
    left: Left | None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The latest holds of a stretch that were resolved in it, in their order; what each of them was is in columns.

    Mostly nobody asks for more than their names.
    """

    ids: list[HoldId]
    calls: list[CallId | None]
    turns: list[int]
    columns: bytes = b""

    def rows(self) -> list[Carried]:
        """Return them one by one."""
        accounts, amounts, released, agents, lines, billed, models = pickle.loads(self.columns)
        states = [HoldState.RELEASED if one else HoldState.SETTLED for one in released]
        columns = (self.ids, accounts, amounts, states, agents, lines, billed, self.calls, self.turns, models)
        return list(starmap(Carried, zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Summary:
    """All that a stretch leaves behind. Lines are counted from its beginning."""

    lines: int
    accounts: list[str]
    steps: list[Step]
    holds: str
    calls: str
    """The names of the holds and calls that were made in it, one a line."""
    open: list[Carried]
    resolved: Resolved
    events: int
    assumed: int
    warned: dict[str, Warned]
    first_time: tuple[int, object] | None
    first_number: tuple[int, int] | None
    """The first that were told, each with its line."""
    last_time: object
    last_number: int | None
    spent: Tallied


class NotWorthIt(Exception):
    """Too much of a stretch would be left."""


def summarised(auditor: Auditor, terms: Terms, lot: Lot) -> Summary | None:
    """Return what a stretch leaves behind; None where it is better judged as a whole.

    ``auditor`` is one that has seen nothing, and knows how much is to be remembered; it is used up.
    """
    read = reading()
    if read is None:
        return None
    stretch = Stretch(auditor, terms)
    try:
        data = read_lot(lot)
        auditor.lane.drive(read.blocks(pieces(data), 0, beside=False), stretch)
        return stretch.summary(data.count(b"\n"))
    except (NotWorthIt, OSError):
        return None


@dataclass(slots=True)
class Stretch(Counting[Auditor]):
    """Takes what the lane leaves: an account that is met for the first time, or what has to be left."""

    terms: Terms
    memory: int = field(init=False)
    accounts: list[LiveAccount] = field(default_factory=list)
    before: list[tuple[int, int, int, int]] = field(default_factory=list)
    """The balances of each account at the step before."""
    counts: tuple[int, int, int, int] = (0, 0, 0, 0)
    steps: list[Step] = field(default_factory=list)
    given: set[LiveHold] = field(default_factory=set)
    """Holds that were made here and are elsewhere now."""
    wrong: list[object] = field(default_factory=list)
    work: int = 0
    again: bool = False
    first_time: tuple[int, object] | None = None
    first_number: tuple[int, int] | None = None
    elsewhere: LiveHold = field(init=False)
    """What stands for holds that were not made here: nothing that the lane would touch."""

    def __post_init__(self) -> None:
        auditor, terms = self.auditor, self.terms
        self.memory, auditor.lane.memory = auditor.lane.memory, _LATER
        auditor.bills, auditor.assumed_line = terms.bills, int(terms.told)
        if terms.sends:
            auditor.bounds.sends_begin()
        auditor.records.whole = True
        auditor.records.unusable = auditor.records.truncated = self.wrong.append
        nowhere = LiveAccount(AccountId(""), AccountId(""), None, 0, 0)
        self.elsewhere = LiveHold(HoldId(""), nowhere.id, 0, HoldState.RELEASED, None, nowhere, 0)

    # ------------------------------------------------------------------------------ for the fast lane

    def stamp(self, line: int, event: Any) -> None:
        """Note the time and the number of a line; whether they follow those before the stretch is seen later."""
        stamp(self.auditor, line, event)
        self._first(line, event.at, event.seq)

    def _first(self, line: int, at: object, seq: object) -> None:
        if self.first_time is None and self.auditor.notes.now is not None:
            self.first_time = (line, at)
        if self.first_number is None and type(seq) is int:
            self.first_number = (line, seq)

    def odd(self, line: int, text: str, event: Any) -> None:
        """Take what can be taken here, and leave the rest."""
        self.auditor.records.line = line
        if event is None:
            self._text(line, text)
        elif self.again or not self._taken(line, event):
            self._leave(line, as_data(event), getattr(event, "at", None), model_of(event))

    def _taken(self, line: int, event: Any) -> bool:
        """Take an event that the lane takes once more is known, or that changes the balances in one way only."""
        kind, model = type(event).__name__, model_of(event)
        lane = self.auditor.lane
        if kind == "reserve" and event.account not in self.terms.strange:
            if not lane.knows(event.account):
                account = lane.meet(event.account, ROOM)
                self.accounts.append(account)
                self.before.append((ROOM, 0, 0, 0))
            elif not model:
                return False
            return self._once_more(line, event, model, 0)
        if kind == "bill" and not model and event.call in lane.sent:
            return self._once_more(line, event, "", 2)  # bills of many agents were added up, and were handed on
        if kind == "release" and not model:
            hold = lane.hold(event.hold)
            if hold is not None and hold.state is HoldState.HELD and hold.call is None:
                lane.give_back(hold)
                hold.state = HoldState.RELEASED
                self.auditor.events += 1
                return True
        return False

    def _once_more(self, line: int, event: Any, model: str, place: int) -> bool:
        kinds: tuple[type, ...] = (*[NotWorthIt] * place, type(event), *[NotWorthIt] * (3 - place))
        reserve, send, bill, settle = kinds
        self.again = True
        self.auditor.lane.drive([Block(line - 1, [event], (), Kinds(reserve, send, bill, settle, False))], self)
        self.again = False
        if model and self.auditor.lane.hold(event.hold) is not self.elsewhere:
            self.auditor.spending.named[event.hold] = model
        return True

    # ------------------------------------------------------------------------------ what is left

    def _text(self, line: int, text: str) -> None:
        """Leave a line that was not read by its types: with its event, if it is one."""
        auditor = self.auditor
        notes = auditor.notes
        found = list(auditor.records.one(text, iter(())))
        if self.wrong:
            self.wrong.clear()
            self._leave(line, text, None, "")
        for data in found:
            at, seq = data.get("at"), data.get("seq")
            if "at" in data:
                notes.clock(data.pop("at"))
            else:
                notes.now = None
            if "seq" in data:
                notes.sequence(data.pop("seq"))
            self._first(line, at, seq)
            data.pop("v", None)
            model = data.pop("model") if isinstance(data.get("model"), str) else ""
            self._leave(line, data, at, model)

    def _leave(self, line: int, event: dict[str, Any] | str, at: object, model: str) -> None:
        self.work += len(self.accounts)
        if len(self.steps) > PATIENCE + line // OFTEN or self.work > 64 * PATIENCE + 2 * line:
            raise NotWorthIt
        named: list[LiveHold] = []
        lane = self.auditor.lane
        if isinstance(event, dict):
            hold, call = event.get("hold"), event.get("call")
            for name, among in ((hold, lane.made), (call, lane.sent)):
                if not isinstance(name, str):
                    continue
                known = among.get(name)
                if known is None:
                    among[name] = self.elsewhere
                elif known is not self.elsewhere and known not in named:
                    named.append(known)
        carried = tuple(self._given(one) for one in named)
        self._step(line, Left(event, at, model, carried))

    def _given(self, hold: LiveHold) -> Carried:
        """Give a hold away: from now on it is not of this stretch."""
        lane = self.auditor.lane
        turn = None
        if hold.state in RESOLVED:
            turn = lane.latest.index(hold)
        else:
            lane.one_gone()
        carried = self._carried(hold, turn)
        self.given.add(hold)
        lane.made[hold.id] = self.elsewhere
        if hold.call is not None:
            lane.sent[hold.call] = self.elsewhere
        return carried

    def _carried(self, hold: LiveHold, turn: int | None) -> Carried:
        model = self.auditor.spending.named.get(hold.id)
        agent, call = hold.agent, hold.call
        return Carried(
            hold.id, hold.account, hold.amount, hold.state, agent, hold.number, hold.billed, call, turn, model
        )

    def _step(self, line: int, left: Left | None) -> None:
        lane = self.auditor.lane
        changes: list[tuple[int, Change]] = []
        for number, account in enumerate(self.accounts):
            before = self.before[number]
            now = (account.available, account.held, account.billed, account.holds)
            if now != before or account.low is not inf:
                low = None if account.low is inf else int(account.low) - before[0]
                changes.append((number, Change(low, *(one - other for one, other in zip(now, before, strict=True)))))
                self.before[number] = now
                account.low = inf
        admitted, sent, settled, resolved = (one - other for one, other in zip(lane.counts, self.counts, strict=True))
        self.counts = lane.counts
        self.steps.append(Step(line, changes, admitted, sent, settled, resolved, lane.overlap(), left))

    def summary(self, lines: int) -> Summary:
        """Return what the stretch leaves behind."""
        self._step(lines, None)
        auditor = self.auditor
        lane, notes = auditor.lane, auditor.notes
        made = [hold for hold in lane.made.values() if hold is not self.elsewhere]
        holds = [hold.id for hold in chain(made, self.given)]
        calls = [hold.call for hold in chain(made, self.given) if hold.call is not None]
        names, called = "\n".join(holds), "\n".join(calls)
        if names.count("\n") >= max(1, len(holds)) or called.count("\n") >= max(1, len(calls)):
            raise NotWorthIt
        said = Summary(
            lines,
            [account.id for account in self.accounts],
            self.steps,
            names,
            called,
            [self._carried(hold, None) for hold in made if hold.state not in RESOLVED],
            self._resolved(),
            auditor.events,
            auditor.assumed,
            notes.warned,
            self.first_time,
            self.first_number,
            notes.as_written,
            notes.last_number,
            auditor.spending.tallied(),
        )
        for table in (lane.made, lane.sent, lane.latest):
            table.clear()
        return said

    def _resolved(self) -> Resolved:
        latest = self.auditor.lane.latest
        first = max(0, len(latest) - self.memory)
        kept = list(islice(latest, first, None))
        turns = list(range(first, len(latest)))
        if self.given:
            turns = [turn for turn, hold in zip(turns, kept, strict=True) if hold not in self.given]
            kept = [hold for hold in kept if hold not in self.given]
        named = self.auditor.spending.named
        columns = (
            [hold.account for hold in kept],
            [hold.amount for hold in kept],
            [hold.state is HoldState.RELEASED for hold in kept],
            [hold.agent for hold in kept],
            [hold.number for hold in kept],
            [hold.billed for hold in kept],
            [named.get(hold.id) for hold in kept],
        )
        ids, calls = [hold.id for hold in kept], [hold.call for hold in kept]
        return Resolved(ids, calls, turns, pickle.dumps(columns, pickle.HIGHEST_PROTOCOL))
