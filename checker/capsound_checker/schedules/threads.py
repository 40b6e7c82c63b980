"""Two operations at once, and one preemption at every instruction: the race between a read and a write.

A stress test meets such a race once in some ten thousand runs. Here the first operation is stopped inside the
implementation's own code, at one bytecode instruction after the other; the second runs meanwhile, to its end or
until it waits for a lock; then the first goes on. Where it lets a lock go, the second that waits for it goes first:
so a lock that is held twice, and not in between, is no cover. Whatever comes out must also come out of one of the two
orders one after the other. A second thread that is merely slow is taken for one that waits: that loses a schedule and
accuses nobody.

Places between which the first touches only its own stack and local variables are one place (Godefroid 1996). So are
places where the second waits, as long as the first neither calls nor writes in between: it has let no lock go.

``interrupt`` does the same in one thread: the second operation is a signal handler's, in the middle of the first. A
lock does not help there; one that is not reentrant hangs.
"""

from __future__ import annotations

import dis
import inspect
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import CodeType, FrameType
from typing import Any, NamedTuple

from capsound.adapter import Adapter, Answer, Kind, ask, offers
from capsound.amounts import Amount, CallId
from capsound.events import (
    Close,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
)
from capsound_checker.programs.lockstep import Lockstep, account_id, hold_id
from capsound_checker.programs.program import Program, Step, call, possible
from capsound_checker.programs.watch import Hung, limit

Said = tuple[tuple[str, ...], tuple[object, ...]]
"""How two operations ended, and what all open scopes say afterwards."""


@dataclass(frozen=True, slots=True)
class Race:
    """One schedule of two operations that no order one after the other explains."""

    before: tuple[Step, ...]
    first: Step
    second: Step
    at: int
    where: str
    anomaly: str
    sentence: str
    handler: bool = False
    """Whether the second operation is done by a signal handler, and not by another thread."""

    def story(self) -> str:
        """Return the race in words."""
        how = "in a signal handler" if self.handler else "in another thread"
        lines = [f"[{n}] {call(step)}" for n, step in enumerate(self.before, start=1)]
        lines.append(f"[{len(lines) + 1}] {call(self.first)}, stopped at {self.where}")
        lines.append(f"[{len(lines) + 1}] {call(self.second)} {how}, meanwhile")
        return "\n".join([*lines, f"   ** {self.anomaly}: {self.sentence}"])


BEFORE: tuple[Step, ...] = (
    Step("open", new=0, amount=6),
    Step("delegate", on=0, new=1, amount=2),
    Step("reserve", on=0, new=0, amount=2),
    Step("send", on=0, bill=1),
    Step("reserve", on=0, new=1, amount=1),
)
"""A root of 6 with a slice of 2, a sent hold of 2 billed 1, a hold of 1, and room for exactly one more."""

OPERATIONS: tuple[Step, ...] = (
    Step("reserve", on=0, new=7, amount=1),
    Step("settle", on=0),
    Step("release", on=1),
    Step("forfeit", on=0),
    Step("extend", on=0, amount=1),
    Step("delegate", on=0, new=7, amount=1),
    Step("close", on=1),
    Step("merge", on=0, new=1),
    Step("reserve", on=0, new=7, amount=2),
    Step("reserve", on=1, new=7, amount=2),
    Step("send", on=1, bill=0),
)


def pairs(adapter: type[Adapter]) -> Iterator[tuple[Program, Step, Step]]:
    """Yield every pair of operations that the adapter offers, an operation with itself included."""
    can = possible(adapter)
    before = [step for step in BEFORE if step.do in can]
    chosen = [
        step for step in OPERATIONS if step.do in can and (step.on != 1 or _about_hold(step) or "delegate" in can)
    ]
    for one in chosen:
        for two in chosen:
            yield before, one, two._replace(new=8) if two.do in ("reserve", "delegate") else two


def _about_hold(step: Step) -> bool:
    return step.do in ("settle", "release", "forfeit", "extend", "send")


def race(
    adapter: type[Adapter], before: Program, one: Step, two: Step, *, most: int = 400, patience: float = 2.0
) -> tuple[Race | None, int]:
    """Preempt ``one`` at each of its instructions in turn and run ``two`` there; return the first race, if any.

    Also returns how many schedules were run. ``patience`` is how many seconds a thread may hang.
    """
    schedules = 0
    for found in _schedules(adapter, before, one, two, patience):
        schedules += 1
        if found is not None or schedules == most:
            return found, schedules
    return None, schedules


def hunt(
    adapter: type[Adapter],
    tried: Iterable[tuple[Program, Step, Step]] | None = None,
    *,
    most: int = 400_000,
    patience: float = 2.0,
    told: Callable[[Step, Step], None] = lambda _one, _two: None,
) -> tuple[Race | None, int]:
    """Race ``tried``, by default all ``pairs``, and return the first race, if any, and how often two operations ran.

    Each pair in turn gets one schedule, and operations of one kind come before all others. Of the places of an
    operation, those right before a write or a ``with`` come first. So a race between a check and what it guards shows
    early, whichever pair it is in. All executions are counted: the two orders of a pair, and the run that finds the
    places, as well. ``told`` is called before each turn; ``patience`` is how many seconds a thread may hang.
    """
    every = list(pairs(adapter) if tried is None else tried)
    count = 0
    for alike in (True, False):
        turns = deque(
            (one, two, _schedules(adapter, before, one, two, patience, early_first=True))
            for before, one, two in every
            if (one.do == two.do) is alike
        )
        fresh = len(turns)
        while turns and count + 1 + (BEFOREHAND if fresh > 0 else 0) <= most:
            one, two, rest = turns.popleft()
            told(one, two)
            if fresh > 0:
                count += BEFOREHAND
            fresh -= 1
            try:
                found = next(rest)
            except StopIteration:
                continue
            count += 1
            if found is not None:
                return found, count
            turns.append((one, two, rest))
    return None, count


def _schedules(
    adapter: type[Adapter], before: Program, one: Step, two: Step, patience: float, *, early_first: bool = False
) -> Iterator[Race | None]:
    """Stop ``one`` at each of its places in turn, and yield what each schedule shows."""
    orders = _orders(adapter, before, one, two)
    alone = _Preempted(adapter, before, one, two, 0, patience)
    alone.run()
    places = dict(enumerate(alone.places, start=1))
    waited: set[int] = set()
    for at in sorted(places, key=lambda at: (early_first and not places[at].early, at)):
        if places[at].segment in waited:
            continue
        raced = _Preempted(adapter, before, one, two, at, patience)
        raced.run()
        found = raced.shows(orders)
        yield found
        if found is not None:
            return
        if raced.waited:
            waited.add(places[at].segment)


def interrupt(
    adapter: type[Adapter], before: Program, one: Step, two: Step, *, most: int = 400
) -> tuple[Race | None, int]:
    """Do ``two`` in the middle of ``one``, in the same thread, wherever a signal handler can come in.

    Return the first schedule that no order of the two explains, if any, and how many were run. Where a journal is
    offered, it too must read as one of the two orders.
    """
    orders = _orders(adapter, before, one, two)
    for at in range(1, most + 1):
        run = _Interrupted(adapter, before, one, two, at, 0.0)
        run.run()
        if not run.where:
            return None, at
        found = run.shows(orders)
        if found is not None:
            return found, at
    return None, most


def again(
    adapter: type[Adapter], before: Program, one: Step, two: Step, at: int, *, handler: bool, patience: float = 2.0
) -> tuple[Race | None, int]:
    """Run one schedule once more; return the race that it shows, if any, and how many schedules that took.

    Where it shows nothing, all others of the two operations are tried: another version of the implementation, or of
    Python, has other instructions.
    """
    orders = _orders(adapter, before, one, two)
    kind = _Interrupted if handler else _Preempted
    raced = kind(adapter, before, one, two, at, patience)
    raced.run()
    found = raced.shows(orders)
    if found is not None:
        return found, 1
    found, more = (interrupt if handler else race)(adapter, before, one, two)
    return found, 1 + more


class _Orders(NamedTuple):
    """What comes out of two operations one after the other, in either order."""

    said: frozenset[Said]
    journals: tuple[list[object], ...]
    """What the journal says of each, where one is offered."""


def _orders(adapter: type[Adapter], before: Program, one: Step, two: Step) -> _Orders:
    (first, answers), (second, swapped) = _after(adapter, before, one, two), _after(adapter, before, two, one)
    journals = (_written(first), _written(second)) if "journal" in offers(adapter) else ()
    return _Orders(frozenset({_said(first, answers), _said(second, swapped[::-1])}), journals)


def _written(run: Lockstep) -> list[object]:
    """Return what the journal says happened, without the names."""
    events = [json.loads(line) for line in run.journal(0)]
    return [(event["event"], event.get("amount")) for event in events]


def _prepared(adapter: type[Adapter], before: Program) -> Lockstep:
    run = Lockstep(adapter())
    for step in before:
        run.do(step)
    return run


def _after(adapter: type[Adapter], before: Program, *steps: Step) -> tuple[Lockstep, list[Answer]]:
    """Do operations one after the other."""
    run = _prepared(adapter, before)
    return run, [_do(run, step) for step in steps]


def _do(run: Lockstep, step: Step) -> Answer:
    """Do the operation of a step on the implementation alone."""
    adapter, scopes, handles = run.adapter, run.scopes, run.handles
    match step.do:
        case "reserve":
            return ask(adapter, "reserve", scopes[step.on], step.amount)
        case "delegate":
            return ask(adapter, "delegate", scopes[step.on], step.amount)
        case "close":
            return ask(adapter, "close", scopes[step.on])
        case "merge":
            return ask(adapter, "merge", scopes[step.on], scopes[step.new])
        case "settle":
            return ask(adapter, "settle", handles[step.on], 1)
        case "extend":
            return ask(adapter, "extend", handles[step.on], step.amount)
        case "send":
            return ask(adapter, "sent", handles[step.on])
        case _:
            return ask(adapter, step.do, handles[step.on])


def _said(run: Lockstep, answers: Sequence[Answer]) -> Said:
    """Return how two operations ended: the kind only, since the words may tell of the moment."""
    kinds = tuple("done" if a.kind is Kind.DONE else "no" if a.kind is not Kind.HUNG else "hung" for a in answers)
    mine = offers(run.adapter)
    more = [sorted(run.adapter.balances(scope).items()) for scope in run.scopes.values() if "balances" in mine]
    return kinds, (*(run.adapter.observe(scope) for scope in run.scopes.values()), *map(tuple, more))


class _Place(NamedTuple):
    """Where the first operation can be stopped so that it may matter."""

    segment: int  # no call and no write lies between two places of one segment
    early: bool  # a write or a ``with`` comes next


class _Kind(Enum):
    """What an instruction may do that another thread can see."""

    LOCAL = "nothing"
    OTHER = "read"
    WRITE = "write"
    ENTER = "enter a with statement"
    CALL = "call"


def _kind(opcode: int) -> _Kind:
    name = dis.opname[opcode]
    if name in _LOCAL or name.startswith("LOAD_FAST"):
        return _Kind.LOCAL
    if name.startswith(_WRITES):
        return _Kind.WRITE
    if name in _ENTERS:
        return _Kind.ENTER
    return _Kind.CALL if name.startswith(_CALLS) else _Kind.OTHER


def _kinds(code: CodeType) -> tuple[_Kind, ...]:
    """Return the kind of each instruction; kept by identity, since to hash code is slow."""
    known = _KINDS.get(id(code))
    if known is None:
        known = _KINDS[id(code)] = code, tuple(map(_kind, code.co_code[::2]))
    return known[1]


_KINDS: dict[int, tuple[CodeType, tuple[_Kind, ...]]] = {}
_LOCAL = {"COPY", "KW_NAMES", "LOAD_CONST", "LOAD_SMALL_INT", "NOP", "PRECALL", "PUSH_NULL", "RESUME", "SWAP"}
_WRITES = ("STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE", "STORE_GLOBAL", "STORE_NAME", "STORE_DEREF", "DELETE_")
_ENTERS = ("BEFORE_WITH", "LOAD_SPECIAL")
_CALLS = ("CALL", "WITH_EXCEPT_START", "SEND", "FOR_ITER")


class _Preempted:
    """One schedule: thread one is stopped at its ``at``-th place, thread two runs, thread one goes on.

    Where ``at`` is 0 it is not stopped, and ``places`` are found.
    """

    waits = "the two operations wait for each other"
    handler = False

    def __init__(self, adapter: type[Adapter], before: Program, one: Step, two: Step, at: int, patience: float) -> None:
        self.adapter_type, self.before, self.steps, self.at = adapter, before, (one, two), at
        self.patience = patience
        self.base = _prepared(adapter, before)
        self.files = set(adapter.files) or {inspect.getfile(type(scope)) for scope in self.base.scopes.values()}
        self.answers: list[Answer] = [Answer(Kind.HUNG), Answer(Kind.HUNG)]
        self.where = ""
        self.hung = self.waited = False
        self.stands: tuple[int, int] | None = None
        self.begin()
        self.second = threading.Thread(target=self._work, args=(1,), daemon=True)

    def begin(self) -> None:
        """Forget what was counted."""
        self.count = self.segment = 0
        self.last = _Kind.OTHER
        self.places: list[_Place] = []

    def _work(self, which: int) -> None:
        self.answers[which] = _do(self.base, self.steps[which])

    def _traced(self) -> None:
        warm = _prepared(self.adapter_type, self.before) if sys.version_info >= (3, 12) else None
        sys.settrace(self._global)
        try:
            if warm is not None:  # code that runs for the first time sends no events for its instructions there
                at, self.at = self.at, 0
                _do(warm, self.steps[0])
                self.at = at
                self.begin()
            self._work(0)
        finally:
            sys.settrace(None)

    def _global(self, frame: FrameType, _event: str, _: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename not in self.files:
            return None
        self.last = _Kind.OTHER  # what was called is ours: no lock has been let go yet
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        sys.settrace(self._global)  # CPython 3.12 and later instrument code that is new to them only now
        return self._local

    def _local(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if event == "opcode":
            kind = _kinds(frame.f_code)[frame.f_lasti // 2]
            if kind is not _Kind.LOCAL:
                self._arrive(frame, kind)
        return self._local

    def _arrive(self, frame: FrameType, kind: _Kind) -> None:
        """Count a place; stop there, or where a lock that the second waits for may have been let go."""
        self.count += 1
        if self.at == 0:
            self.places.append(_Place(self.segment, kind in (_Kind.WRITE, _Kind.ENTER)))
        elif self.count == self.at:
            self.where = f"{frame.f_code.co_name}, line {frame.f_lineno}, instruction {frame.f_lasti // 2}"
            self.second.start()
            self._wait()
        elif self.waited and self.last is _Kind.CALL and self.second.is_alive():
            self._wait()
        if kind is not _Kind.OTHER:
            self.segment += 1
        self.last = kind

    def _wait(self) -> None:
        """Wait until thread two has ended, or stands still: then it waits for something that thread one has."""
        ident = self.second.ident
        still = 0 if self.stands is None else _STILL - 1  # that it still waits is seen at one glance
        while self.second.is_alive() and still < _STILL:
            self.second.join(_POLL)
            frame = sys._current_frames().get(ident or 0)  # noqa: SLF001 - documented, in spite of its name
            now = frame and (frame.f_lasti, id(frame.f_code))
            still = still + 1 if now == self.stands else 0
            self.stands = now
        self.waited = self.waited or self.second.is_alive()

    def run(self) -> None:
        """Run the schedule; ``where`` stays empty when thread one had fewer instructions."""
        first = threading.Thread(target=self._traced, daemon=True)
        first.start()
        end = time.monotonic() + self.patience
        first.join(self.patience)
        if self.where:
            self.second.join(max(0.0, end - time.monotonic()))
            self.hung = first.is_alive() or self.second.is_alive()
        else:
            self.hung = first.is_alive()

    def shows(self, orders: _Orders) -> Race | None:
        """Return the race, where no order one after the other explains what came out."""
        if not self.where and not self.hung:
            return None
        if self.hung:
            named = "hang", self.waits
        elif self.said() not in orders.said:
            named = self.named()
        elif self.handler and orders.journals and (told := _written(self.base)) not in orders.journals:
            named = "wrong journal", f"no order of the two writes {told}"
        else:
            return None
        return Race(tuple(self.before), *self.steps, self.at, self.where, *named, handler=self.handler)

    def said(self) -> Said:
        """Return what came out."""
        return _said(self.base, self.answers)

    def named(self) -> tuple[str, str]:
        """Return the anomaly that the monitor sees when it is told what happened, one after the other."""
        for order in ((0, 1), (1, 0)):
            run = _prepared(self.adapter_type, self.before)
            for which in order:
                if self.answers[which].kind is Kind.DONE:
                    run.tell(_event(self.steps[which], run))
                elif self.steps[which].do == "reserve":
                    run.tell(_refusal(self.steps[which]))
            for number, scope in self.base.scopes.items():
                spent, held, remaining = self.base.adapter.observe(scope)
                if spent is not None and remaining is not None and not run.state.accounts[account_id(number)].closed:
                    run.tell(Observe(account_id(number), spent, remaining, held))
            if wrong := run.wrong():
                return wrong[0].anomaly, wrong[0].sentence
        return "ledger-drift", f"no order of the two explains {self.said()}"


class _Interrupted(_Preempted):
    """One schedule: the second operation is done by a signal handler, in the same thread, in the middle of the first.

    CPython lets a handler in where a function begins, where a loop goes back and after a call, and nowhere else.
    """

    previous = ""
    waits = "the handler waits for what it has interrupted"
    handler = True

    def _local(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if event == "opcode":
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if self.previous.startswith(("CALL", "RESUME", "JUMP_BACKWARD")):
                self.count += 1
                if self.count == self.at:
                    self.where = f"{frame.f_code.co_name}, line {frame.f_lineno}"
                    self._work(1)
            self.previous = name
        return self._local

    def run(self) -> None:
        """Run the schedule; ``where`` stays empty when the first operation has fewer such places."""
        try:
            with limit():
                self._traced()
        except Hung:
            self.hung = True
        if self.where:
            self.hung = self.hung or any(answer.kind is Kind.HUNG for answer in self.answers)


def _event(step: Step, run: Lockstep) -> Event:
    match step.do:
        case "reserve":
            return Reserve(account_id(step.on), hold_id(step.new), Amount(step.amount))
        case "delegate":
            return Delegate(account_id(step.on), account_id(step.new), Amount(step.amount))
        case "close":
            return Close(account_id(step.on))
        case "merge":
            return Merge(account_id(step.on), account_id(step.new))
        case "settle":
            return Settle(hold_id(step.on), Amount(run.state.hold(hold_id(step.on)).billed))
        case "extend":
            return Extend(hold_id(step.on), Amount(step.amount))
        case "send":
            return Send(hold_id(step.on), CallId("raced"))
        case "release":
            return Release(hold_id(step.on))
        case _:
            return Forfeit(hold_id(step.on))


def _refusal(step: Step) -> Event:
    return Refuse(account_id(step.on), Amount(step.amount))


BEFOREHAND = 3
_POLL = 0.000_2
_STILL = 3
