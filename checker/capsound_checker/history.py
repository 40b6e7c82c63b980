"""Histories: what a real concurrent run did, recorded by its clients and judged afterwards.

For implementations whose threads, processes or servers nobody can schedule. ``record`` lets several threads work on one
implementation, with the provider still ours, and writes down when each operation was called and when it came back.
``check`` asks whether some order explains all answers (``linearize``), and lets the monitor listen to that order
together with the true bills. A history may also come from elsewhere, as JSON lines (docs/history.md).

A time is read before each call and after its return, so that the recorded interval contains the real one. A wider
interval allows more orders and forbids none: it can hide a fault and never accuses. The clock need not
advance between two readings: equal times count as an overlap.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from capsound.accounts import RESOLVED
from capsound.adapter import Adapter, Answer, Gate, Granted, Kind, ask, offers
from capsound.amounts import Amount, CallId
from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound.events import (
    Bill,
    Close,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Merge,
    Open,
    Record,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
)
from capsound.monitor import Monitor
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_checker.linearize import STEPS, Linearization, linearize
from capsound_checker.lockstep import AdapterFailed, account_id, agent_id, hold_id
from capsound_checker.sequential import CREATES, ON_HOLD, OPERATIONS, OUTCOMES, READS, Operation

FORMAT = 1
"""The version of the JSON lines."""


class BadHistory(CapsoundError):
    """A recorded history cannot be read; the message says in which line, the hint what belongs there."""

    name = "bad-history"
    exit_status = EXIT_BAD_INPUT


class NotRecordable(CapsoundError):
    """The adapter offers nothing that clients of a history can do."""

    name = "not-recordable"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class History:
    """What was done, in no particular order; the times of the operations say what came before what.

    ``strict`` and ``complete`` are what the implementation claims. ``hung`` are the operations that did not come back,
    in words.
    """

    operations: tuple[Operation, ...]
    strict: bool = False
    complete: bool = False
    seed: int = 0
    hung: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the history as JSON lines; ``read`` is the inverse."""
        head = {"history": FORMAT, "strict": self.strict, "complete": self.complete, "seed": self.seed}
        yield json.dumps(head if not self.hung else {**head, "hung": list(self.hung)})
        for said in self.operations:
            data = {name: getattr(said, name) for name in _FIELDS}
            left_out = {name for name, value in _USUAL.items() if data[name] == value}
            if said.do not in _AMOUNTS:
                left_out.add("amount")
            yield json.dumps({name: value for name, value in data.items() if name not in left_out})

    @classmethod
    def read(cls, lines: Iterable[str], where: str = "history") -> History:
        """Return the history that JSON lines describe; raises ``BadHistory`` with the line and a cure."""
        return _read(lines, where)


_FIELDS = ("client", "do", "on", "new", "amount", "value", "called", "returned", "outcome")
_USUAL: dict[str, object] = {"new": -1, "value": None, "returned": None, "outcome": "done"}
_AMOUNTS = frozenset({"open", "reserve", "charge", "record", "check", "delegate", "sent", "settle", "extend"})


@dataclass(frozen=True, slots=True)
class HistoryVerdict:
    """What a history shows.

    ``window`` is the offending part in words, one operation a line, by invocation: the least that shows it, where
    ``shortest`` says so (``capsound_checker.windows``). ``reads_only``: without what the
    implementation says of itself, everything is explained. ``order`` are the positions of the operations in the order
    that explains them. ``steps`` counts transitions tried; ``overlap`` the most operations that were under way at once.
    """

    verdict: Verdict
    anomaly: str | None
    sentence: str
    window: tuple[str, ...]
    reads_only: bool
    operations: int
    clients: int
    roots: int
    admitted: int
    refused: int
    overlap: int
    seed: int
    steps: int
    order: tuple[int, ...] = ()
    shortest: bool = False

    @property
    def exit_status(self) -> int:
        """The exit status of a command with this verdict."""
        return self.verdict.exit_status


# ------------------------------------------------------------------------------------------------- recording


def record(
    adapter: type[Adapter],
    *,
    clients: int = 8,
    operations: int = 2_000,
    seed: int = 0,
    a1: bool = True,
    duplicates: bool = True,
    noise: float = 0.03,
    patience: float = 5.0,
) -> History:
    """Let ``clients`` threads do some ``operations`` operations in all, and return what was seen.

    Which operations are tried follows from ``seed``; how they interleave is up to the machine. With ``a1`` no bill
    exceeds its hold. With ``duplicates`` a reply is sometimes delivered twice, the second time to another client.
    With the probability ``noise`` a client lets the others go first where a function is called or returns, the
    implementation's own included (Edelstein and others, 2002): a race that is rare otherwise becomes likely.
    When no operation has come back for ``patience`` seconds, those under way are given up as hung.
    Raises ``AdapterFailed`` when the adapter lets out an exception that it does not classify, ``NotRecordable`` when
    nothing stands between a client and the provider that can be called by hand.
    """
    mine = offers(adapter)
    if adapter.gate is Gate.CALL or adapter.gate.value not in mine or "open" not in mine:
        raise NotRecordable(
            f"{adapter.__name__} has the gate {adapter.gate.value!r} and offers {', '.join(sorted(mine)) or 'nothing'}",
            cause="the clients of a history reserve, send and settle by hand",
            hint="offer `open` and one of reserve, charge, check and record, and set `gate` to it",
        )
    run = _Run(adapter(), clients, operations, seed, a1=a1, duplicates=duplicates, noise=noise)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # a thread that is stopped everywhere meets the others everywhere
    try:
        run.work(patience)
    finally:
        sys.setswitchinterval(interval)
    return run.history()


@dataclass
class _Hold:
    """A hold as its client knows it."""

    number: int
    account: int
    handle: Any
    amount: int
    bill: int = -1  # not sent


@dataclass
class _Run:
    """A run in progress: what all clients share. Lists and counters are changed by single atomic calls only."""

    adapter: Adapter
    clients: int
    operations: int
    seed: int
    a1: bool
    duplicates: bool
    noise: float
    scopes: dict[int, Any] = field(default_factory=dict)
    failed: list[BaseException] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.offers = offers(self.adapter)
        self.strict, self.complete = self.adapter.strict, self.adapter.complete
        self.logs: list[list[Operation]] = [[] for _ in range(self.clients + 1)]
        self.under_way: list[Operation | None] = [None] * (self.clients + 1)
        self.again: deque[_Hold] = deque()  # replies that are delivered once more, to whoever comes first
        self.hung: tuple[str, ...] = ()
        self.roots = max(1, self.operations // _PER_ROOT)

    def work(self, patience: float) -> None:
        """Open the roots, run the clients to their end, and read all balances when nothing is under way."""
        owner = _Client(self, self.clients)
        for number in range(self.roots):
            owner.open(number, _ROOM * self.clients + _SPEND)
        start = threading.Barrier(self.clients)
        share = max(1, (self.operations - self.roots) // self.clients)
        threads = [
            threading.Thread(target=_Client(self, n).work, args=(start, share), daemon=True)
            for n in range(self.clients)
        ]
        for thread in threads:
            thread.start()
        self._wait(threads, patience)
        if not self.failed and not self.hung:
            final = threading.Thread(target=_Client(self, self.clients).look_at_all, daemon=True)
            final.start()
            self._wait([final], patience)
        if self.failed:
            raise self.failed[0]

    def _wait(self, threads: list[threading.Thread], patience: float) -> None:
        """Wait for threads as long as any of them makes progress."""
        done, since = -1, time.monotonic()
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(0.05)
            now = sum(map(len, self.logs))
            if now != done:
                done, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                self.stop.set()
                time.sleep(_GRACE)  # whoever is just about to begin has begun, or has seen that it is over
                left = [op for op in self.under_way if op is not None]
                self.hung = tuple(f"client {op.client}: {op}" for op in left) or ("a client outside every operation",)
                return

    def history(self) -> History:
        """Return what was recorded, with times that count from 1; equal ones stay equal."""
        pending = [op for op in self.under_way if op is not None and op.do not in READS] if self.hung else []
        said = [op for log in self.logs for op in list(log)]
        ended = {(op.client, op.called) for op in said}
        said += [op for op in pending if (op.client, op.called) not in ended]
        times = {op.called for op in said} | {op.returned for op in said if op.returned is not None}
        rank = {moment: number for number, moment in enumerate(sorted(times), start=1)}
        numbered = [
            replace(op, called=rank[op.called], returned=None if op.returned is None else rank[op.returned])
            for op in said
        ]
        numbered.sort(key=lambda op: (op.called, op.client))
        return History(tuple(numbered), self.strict, self.complete, self.seed, self.hung)


class _Client:
    """One client: a program from its seed, with holds and slices of its own, on accounts that all share."""

    def __init__(self, run: _Run, number: int) -> None:
        self.run, self.number = run, number
        self.chance = random.Random(run.seed * 1_009 + number)
        self.whim = random.Random(run.seed * 1_009 + number).random  # apart: what is tried does not depend on it
        self.holds: list[_Hold] = []
        self.slices: list[int] = []
        self.made = 0
        self.gate = run.adapter.gate
        self.books_late = self.gate is Gate.CHECK or self.gate is Gate.RECORD

    def work(self, start: threading.Barrier, share: int) -> None:
        """Do the share of this client, then end every hold of its own, so that everybody else has seen its end."""
        run = self.run
        try:
            start.wait()
            if run.noise > 0:
                sys.setprofile(self.hesitate)
            log = run.logs[self.number]
            idle = 0
            while len(log) < share and idle < _IDLE and not run.stop.is_set():
                before = len(log)
                self.act(min(run.roots - 1, before * run.roots // share))
                idle = idle + 1 if len(log) == before else 0
            while self.holds and not run.stop.is_set():
                self.end(self.holds.pop())
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where the run was started
            run.failed.append(error)
            run.stop.set()
        finally:
            sys.setprofile(None)

    def hesitate(self, _frame: FrameType, _event: str, _about: object) -> None:
        """Let the others go first, now and then; called wherever a function begins or ends."""
        if self.whim() < self.run.noise:
            time.sleep(_NAP)

    def act(self, root: int) -> None:
        """Do one thing."""
        run, chance = self.run, self.chance
        dice = chance.random()
        try:
            twice = run.again.popleft() if run.again else None
        except IndexError:  # another client was faster
            twice = None
        if twice is not None:
            self.settle(twice)
        elif dice < 0.25:
            self.look(chance.choice([root, root, *self.slices]))
        elif dice < 0.30 and "delegate" in run.offers and len(self.slices) < 2:
            self.delegate(root)
        elif dice < 0.33 and "close" in run.offers and self.slices:
            self.leave(self.slices.pop(chance.randrange(len(self.slices))), root)
        elif dice < 0.60 or not self.holds:
            self.reserve(chance.choice([root, root, root, *self.slices, *self._of_others()]))
        else:
            self.go_on(self.holds.pop(chance.randrange(len(self.holds))))

    def _of_others(self) -> list[int]:
        """Return, now and then, an account of somebody else: it may be closed at any moment."""
        if self.chance.random() < 0.8:
            return []
        try:
            return [self.chance.choice(list(self.run.scopes)[self.run.roots :])]
        except (IndexError, RuntimeError):  # there is none, or one was added just now
            return []

    # ----------------------------------------------------------------------------------------- operations

    def ask(self, said: Operation, operation: str, *args: Any) -> Answer:
        """Do one operation of the adapter and write down when, with how it ended."""
        run = self.run
        if run.stop.is_set():
            raise _Stopped
        called = time.perf_counter_ns()
        run.under_way[self.number] = replace(said, called=called, returned=None, outcome="pending")
        answer = ask(run.adapter, operation, *args)
        returned = time.perf_counter_ns()
        if answer.kind is Kind.FAILED or answer.kind is Kind.HUNG:
            raise AdapterFailed(
                f"{type(run.adapter).__name__}.{operation} raised {answer.why}",
                cause="the adapter does not say what this exception means",
                hint="list its class under `refused`, `rejected` or `stale` of the adapter",
            )
        outcome, value, new, amount = answer.kind.value, said.value, said.new, said.amount
        if answer.kind is Kind.DONE:
            if said.do in READS:
                value = answer.value
                if type(value) is not int:
                    raise AdapterFailed(f"{operation} returned {value!r}", hint="return a whole number of units")
            elif operation == "check" and not answer.value:
                outcome, new = "refused", -1
            elif isinstance(answer.value, Granted):
                amount = answer.value.amount
        else:
            new = new if said.do == "merge" else -1
        done = replace(said, called=called, returned=returned, outcome=outcome, value=value, new=new, amount=amount)
        run.logs[self.number].append(done)
        run.under_way[self.number] = None  # only now: at any moment it stands in at least one of the two
        return replace(answer, kind=Kind(outcome))

    def said(self, do: str, on: int, **more: Any) -> Operation:
        return Operation(self.number, do, on, 0, None, **more)

    def _new(self) -> int:
        """Return a number that no other client uses."""
        self.made += 1
        return self.run.roots + self.made * (self.run.clients + 1) + self.number

    def open(self, number: int, cap: int) -> None:
        answer = self.ask(self.said("open", number, amount=cap), "open", cap)
        if answer.kind is not Kind.DONE:
            raise AdapterFailed(f"open({cap}) was {answer.kind}: {answer.why}", hint="let the adapter scale the unit")
        self.run.scopes[number] = answer.value

    def reserve(self, account: int) -> None:
        run, new, amount = self.run, self._new(), self.chance.randint(1, _MOST)
        scope = run.scopes[account]
        if self.gate is Gate.CHARGE and "settle" not in run.offers:
            self.ask(self.said("charge", account, amount=amount), "charge", scope, amount)
            return
        said = self.said("reserve", account, new=new, amount=amount)
        if self.gate is Gate.RECORD:  # nobody is asked
            now = time.perf_counter_ns()
            run.logs[self.number].append(replace(said, called=now, returned=now))
            self.holds.append(_Hold(new, account, None, amount))
            return
        answer = self.ask(said, self.gate.value, scope, amount)
        if answer.kind is Kind.DONE:
            self.holds.append(_Hold(new, account, answer.value, amount))

    def go_on(self, hold: _Hold) -> None:
        """Take one hold a step further: send its request, hear of its reply, or give it up."""
        run, dice = self.run, self.chance.random()
        if hold.bill < 0 and dice < 0.15 and "release" in run.offers:
            self.ask(self.said("release", hold.number), "release", hold.handle)
        elif dice < 0.25 and "extend" in run.offers:
            more = self.chance.randint(1, 4)
            if self.ask(self.said("extend", hold.number, amount=more), "extend", hold.handle, more).kind is Kind.DONE:
                hold.amount += more
            self.holds.append(hold)
        elif hold.bill < 0:
            self.send(hold)
            self.holds.append(hold)  # its reply is late: other things come first
        else:
            self.end(hold)

    def send(self, hold: _Hold) -> None:
        run = self.run
        most = hold.amount if self.run.a1 or self.chance.random() < 0.8 else 2 * hold.amount
        hold.bill = self.chance.choice((0, 0, min(1, most), self.chance.randint(0, most)))
        said = self.said("sent", hold.number, amount=hold.bill)
        if "sent" in run.offers:
            if self.ask(said, "sent", hold.handle).kind is not Kind.DONE:
                hold.bill = 0  # it did not leave
        else:
            now = time.perf_counter_ns()
            run.logs[self.number].append(replace(said, called=now, returned=now))

    def end(self, hold: _Hold) -> None:
        """Let the reply come, or the error: then the bill is told, or will never be known."""
        if hold.bill < 0:
            self.send(hold)
        if self.chance.random() < 0.05 and "forfeit" in self.run.offers and not self.books_late and hold.amount <= 4:
            self.ask(self.said("forfeit", hold.number), "forfeit", hold.handle)
            return
        if self.run.duplicates and not self.books_late and self.chance.random() < 0.3:
            self.run.again.append(hold)
        self.settle(hold)

    def settle(self, hold: _Hold) -> None:
        said = self.said("settle", hold.number, amount=hold.bill)
        if self.books_late:
            self.ask(said, "record", self.run.scopes[hold.account], hold.bill)
        else:
            self.ask(said, "settle", hold.handle, hold.bill)

    def delegate(self, account: int) -> None:
        new, amount = self._new(), self.chance.randint(1, 2 * _MOST)
        said = self.said("delegate", account, new=new, amount=amount)
        answer = self.ask(said, "delegate", self.run.scopes[account], amount)
        if answer.kind is Kind.DONE:
            scope = answer.value.scope if isinstance(answer.value, Granted) else answer.value
            self.run.scopes[new] = scope
            self.slices.append(new)

    def leave(self, account: int, root: int) -> None:
        """End a slice, by merging it into its root or by closing it; one that is busy stays."""
        scopes = self.run.scopes
        if "merge" in self.run.offers and self.chance.random() < 0.3:
            said = self.said("merge", root, new=account)
            kind = self.ask(said, "merge", scopes[root], scopes[account]).kind
        else:
            kind = self.ask(self.said("close", account), "close", scopes[account]).kind
        if kind is not Kind.DONE:
            self.slices.append(account)

    def look(self, account: int) -> None:
        reads = self._reads()
        if reads:
            operation, read = self.chance.choice(reads)
            self.ask(self.said(read, account), operation, self.run.scopes[account])

    def look_at_all(self) -> None:
        """Read every balance that is told of every account that is open, when nothing is under way."""
        try:
            ended = {
                op.on if op.do == "close" else op.new
                for log in self.run.logs
                for op in log
                if op.do in ("close", "merge") and op.outcome == "done"
            }
            for account in sorted(set(self.run.scopes) - ended):
                for operation, read in self._reads():
                    self.ask(self.said(read, account), operation, self.run.scopes[account])
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where the run was started
            self.run.failed.append(error)

    def _reads(self) -> list[tuple[str, str]]:
        """Return what the adapter tells, each with the name of what that is in the model."""
        mine = self.run.offers
        charges = self.gate is Gate.CHARGE
        names = {"spent": "used" if charges else "spent", "held": "held"}
        # Whoever does not tell its holds apart may or may not have taken them off what remains.
        names["remaining"] = "remaining" if "held" in mine or charges else "free"
        if charges:
            del names["held"]  # it debits before the call: its spent counts what is held
        return [(operation, names[operation]) for operation in names if operation in mine]


class _Stopped(Exception):
    """The run is over: another client has failed, or hangs."""


_NAP = 1e-5
_GRACE = 0.05
_PER_ROOT = 400
_ROOM = 15
_SPEND = 40
_MOST = 20
_IDLE = 1_000


# -------------------------------------------------------------------------------------------------- judging


def check(history: History, *, steps: int = STEPS) -> HistoryVerdict:
    """Return what a history shows; after ``steps`` transitions without an end the verdict is ``unknown``.

    ``sound``: some order explains every answer, and the monitor, told that order and the true bills, finds nothing. A
    run in which an operation did not come back, or in which nothing was refused and the cap never approached,
    shows nothing: ``unknown``. Raises ``BadTrace`` when an operation names what no operation has created.
    """
    said = history.operations
    found = linearize(said, strict=history.strict, complete=history.complete, steps=steps)
    reads_only = False
    anomaly: str | None = None
    window: tuple[str, ...] = ()
    verdict = found.verdict
    if found.offence is not None:
        anomaly, sentence = found.offence.anomaly, found.offence.sentence
        window = _shown(said, found)
        rest = [op for op in said if op.do not in READS]
        again = linearize(rest, strict=history.strict, complete=history.complete, steps=steps)
        reads_only = again.verdict is Verdict.SOUND
    elif verdict is Verdict.UNKNOWN:
        sentence = f"no answer within {steps:,} transitions"
    else:
        verdict, anomaly, sentence = _monitored(said, found.order, complete=history.complete)
    if history.hung and verdict is not Verdict.VIOLATED:
        verdict, anomaly = Verdict.UNKNOWN, "hang"
        sentence, window = f"{len(history.hung)} operations did not come back", history.hung
    counts = Counter((op.do, op.outcome) for op in said)
    return HistoryVerdict(
        verdict,
        anomaly,
        sentence,
        window,
        reads_only,
        operations=len(said),
        clients=len({op.client for op in said}),
        roots=counts["open", "done"],
        admitted=counts["reserve", "done"] + counts["charge", "done"],
        refused=counts["reserve", "refused"] + counts["charge", "refused"],
        overlap=_overlap(said),
        seed=history.seed,
        steps=found.steps,
        order=found.order,
        shortest=found.offence is not None and found.offence.shortest,
    )


def _shown(said: tuple[Operation, ...], found: Linearization) -> tuple[str, ...]:
    """Return the offending window in words; the operation that nothing explains is marked."""
    offence = found.offence
    if offence is None:
        return ()
    lines = []
    for index in offence.window:
        op = said[index]
        mark = "**" if index == offence.operation else "  "
        until = "..." if op.returned is None else str(op.returned)
        lines.append(f"{mark} [{op.called}, {until}] client {op.client}: {op}")
    return tuple(lines)


def _overlap(said: tuple[Operation, ...]) -> int:
    """Return the most operations that were under way at once."""
    moments = [(op.called, 1) for op in said]
    moments += [(op.returned, -1) for op in said if op.returned is not None]
    most = now = 0
    for _, change in sorted(moments, key=lambda moment: (moment[0], -moment[1])):
        now += change
        most = max(most, now)
    return most


def _monitored(
    said: tuple[Operation, ...], order: tuple[int, ...], *, complete: bool
) -> tuple[Verdict, str | None, str]:
    """Return what the monitor says of the order that was found, told the true bills of each root in turn."""
    informative, listened = False, 0
    for positions in _by_root(said, order):
        monitor = Monitor()
        for index in positions:
            for event in _events(said[index], index, monitor, complete=complete):
                monitor.feed(event)
                listened += 1
        report = monitor.report()
        informative = informative or report.exercise.informative
        excused = report.exercise.overran and report.verdicts[Property.OVERRUN] is not Verdict.VIOLATED
        for finding in report.findings:
            if not (excused and finding.anomaly in ("overshoot", "slice-overshoot")):
                return Verdict.VIOLATED, finding.anomaly, finding.sentence
    if not informative:
        return Verdict.UNKNOWN, None, "nothing was refused and no cap was approached: the run shows nothing"
    return (
        Verdict.SOUND,
        None,
        f"an order of {len(order)} operations explains every answer; {listened} events were judged",
    )


def _by_root(said: tuple[Operation, ...], order: tuple[int, ...]) -> list[list[int]]:
    """Return the positions of each root, in order."""
    root: dict[int, int] = {}
    owner: dict[int, int] = {}
    parts: dict[int, list[int]] = {}
    for index in order:
        op = said[index]
        if op.do == "open":
            root[op.on] = op.on
        account = owner[op.on] if op.do in ON_HOLD else op.on
        if op.new >= 0 and op.do == "delegate":
            root[op.new] = root[account]
        elif op.new >= 0 and op.do == "reserve":
            owner[op.new] = account
        parts.setdefault(root[account], []).append(index)
    return list(parts.values())


def _events(op: Operation, index: int, monitor: Monitor, *, complete: bool) -> Iterator[Event]:
    """Yield what an operation means in events, at its place in the order; what changed nothing is left out."""
    state, amount = monitor.state, Amount(op.amount)
    account = state.hold(hold_id(op.on)).account if op.do in ON_HOLD else account_id(op.on)
    done = op.outcome in ("done", "pending")
    if op.do == "open":
        yield Open(account, amount)
        return
    if state.account(account).closed or (op.do in ON_HOLD and state.hold(hold_id(op.on)).state in RESOLVED):
        return
    hold = hold_id(op.on)
    if not done and op.do != "settle":
        if op.do in ("reserve", "charge", "delegate", "extend") and (op.outcome == "refused" or complete):
            yield Refuse(account, amount, agent=agent_id(op.client))
        return
    match op.do:
        case "reserve":
            yield Reserve(account, hold_id(op.new), amount, agent_id(op.client))
        case "charge":  # all of it counts as spent: the bill is no business of the ledger
            name = hold_id(-index - 1)
            yield Reserve(account, name, amount, agent_id(op.client))
            yield Forfeit(name)
        case "delegate":
            yield Delegate(account, account_id(op.new), amount)
        case "close":
            yield Close(account)
        case "merge":
            yield Merge(account, account_id(op.new))
        case "sent":
            yield Send(hold, CallId(f"c{index}"))
            yield Bill(CallId(f"c{index}"), amount)
        case "settle":
            yield Settle(hold, amount)
        case "release":
            yield Release(hold)
        case "forfeit":
            yield Forfeit(hold)
        case "extend":
            yield Extend(hold, amount)
        case "record":
            yield Record(account, amount)


# ------------------------------------------------------------------------------------------------- reading


def _read(lines: Iterable[str], where: str) -> History:
    head: dict[str, Any] | None = None
    said: list[Operation] = []
    created: dict[tuple[str, int], int] = {}
    places: list[int] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        data = _parsed(line, f"{where}:{number}")
        if head is None:
            head = _head(data, f"{where}:{number}")
            continue
        op = _operation(data, f"{where}:{number}")
        if op.do in CREATES and op.outcome in ("done", "pending"):
            new = op.on if op.do == "open" else op.new
            if new >= 0 and created.setdefault((CREATES[op.do], new), number) != number:
                raise BadHistory(
                    f"{CREATES[op.do]} {new} was created in line {created[CREATES[op.do], new]} already",
                    hint="number accounts and holds so that no number is used twice",
                    where=f"{where}:{number}",
                )
        said.append(op)
        places.append(number)
    if head is None:
        raise BadHistory("the history is empty", hint='begin with {"history": 1}', where=f"{where}:{max(1, number)}")
    for op, place in zip(said, places, strict=True):
        for kind, name in _named(op):
            if (kind, name) not in created:
                raise BadHistory(
                    f"{op.do} names {kind} {name}, which no operation creates",
                    hint="record every open, delegate and reserve that was done, or may have been",
                    where=f"{where}:{place}",
                )
    return History(tuple(said), head["strict"], head["complete"], head["seed"], head["hung"])


def _named(op: Operation) -> Iterator[tuple[str, int]]:
    if op.do != "open":
        yield ("hold" if op.do in ON_HOLD else "account"), op.on
    if op.do == "merge":
        yield "account", op.new


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadHistory(f"this line is no JSON: {error}", hint="one JSON object a line", where=where) from None
    if not isinstance(data, dict):
        raise BadHistory(f"this line is no JSON object: {line.strip()[:60]}", hint="one object a line", where=where)
    return data


def _head(data: dict[str, Any], where: str) -> dict[str, Any]:
    if data.get("history") != FORMAT or isinstance(data.get("history"), bool):
        raise BadHistory(
            f"the first line says history {data.get('history')!r}, and not {FORMAT}",
            hint=f'begin with {{"history": {FORMAT}}}, the version of the format',
            where=where,
        )
    checks: dict[str, tuple[object, Callable[[Any], bool]]] = {
        "strict": (False, lambda value: isinstance(value, bool)),
        "complete": (False, lambda value: isinstance(value, bool)),
        "seed": (0, lambda value: type(value) is int),
        "hung": ([], lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value)),
    }
    if extra := sorted(set(data) - set(checks) - {"history"}):
        raise BadHistory(f"the first line has no field {extra[0]!r}", hint=nearest(extra[0], checks), where=where)
    head: dict[str, Any] = {}
    for name, (default, fits) in checks.items():
        head[name] = data.get(name, default)
        if not fits(head[name]):
            raise BadHistory(f"{name!r} is {head[name]!r}", hint=f"for example {default!r}", where=where)
    head["hung"] = tuple(head["hung"])
    return head


def _operation(data: dict[str, Any], where: str) -> Operation:
    def bad(message: str, hint: str) -> BadHistory:
        return BadHistory(message, hint=hint, where=where)

    if extra := sorted(set(data) - set(_FIELDS)):
        raise bad(f"an operation has no field {extra[0]!r}", nearest(extra[0], _FIELDS))
    do, outcome = data.get("do"), data.get("outcome", "done")
    if not isinstance(do, str) or do not in OPERATIONS:
        raise bad(f"{do!r} is no operation", nearest(str(do), OPERATIONS))
    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        raise bad(f"{outcome!r} is no outcome", nearest(str(outcome), OUTCOMES))
    done = outcome in ("done", "pending")
    needed = ["client", "on", "called"]
    if outcome != "pending":
        needed.append("returned")
    elif data.get("returned") is not None:
        raise bad("a pending operation has no 'returned'", "leave it out, or say how the operation ended")
    if do == "merge" or (do in CREATES and do != "open" and outcome == "done"):
        needed.append("new")
    if do in _AMOUNTS:
        needed.append("amount")
    if (do in READS or do == "check") and outcome == "done":
        needed.append("value")
    for name in needed:
        if data.get(name) is None:
            raise bad(f"{do} ({outcome}) needs {name!r}", "docs/history.md lists the fields of each operation")
    for name in ("client", "on", "new", "amount", "value", "called", "returned"):
        value = data.get(name)
        if value is None:
            continue
        if type(value) is not int or (value < 0 and name not in ("value", "called", "returned")):
            raise bad(f"{name!r} is {value!r}", "give a whole number; names are numbers from 0")
    called, returned = data["called"], data.get("returned")
    if returned is not None and returned < called:
        raise bad(f"it returned at {returned}, before it was called at {called}", "read both times from one clock")
    new = data.get("new", -1) if done or do == "merge" else -1
    return Operation(
        data["client"], do, data["on"], called, returned, outcome, new, data.get("amount") or 0, data.get("value")
    )
