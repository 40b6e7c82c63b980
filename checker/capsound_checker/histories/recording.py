"""Recording: let the threads of several clients work on one implementation, and write down what they saw.

A time is read before each call and after its return, so that the recorded interval contains the real one. A wider
interval allows more orders and forbids none: it can hide a fault and never accuses. The clock need not
advance between two readings: equal times count as an overlap.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from capsound.adapter import Adapter, Answer, Gate, Granted, Kind, ask, offers
from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.histories.history import History
from capsound_checker.histories.sequential import READS, Operation
from capsound_checker.programs.lockstep import AdapterFailed
from capsound_checker.programs.watch import joined


class NotRecordable(CapsoundError):
    """The adapter offers nothing that clients of a history can do."""

    name = "not-recordable"
    exit_status = EXIT_BAD_INPUT


def record(
    adapter: type[Adapter],
    *,
    clients: int = 8,
    operations: int = 2_000,
    seed: int = 0,
    a1: bool = True,
    duplicates: bool = True,
    noise: float = 0.03,
    patience: float | None = None,
    slices: bool = True,
) -> History:
    """Let ``clients`` threads do some ``operations`` operations in all, and return what was seen.

    Which operations are tried follows from ``seed``; how they interleave is up to the machine. With ``a1`` no bill
    exceeds its hold. With ``duplicates`` a reply is sometimes delivered twice, the second time to another client.
    With the probability ``noise`` a client lets the others go first where a function is called or returns, the
    implementation's own included (Edelstein and others, 2002): a race that is rare otherwise becomes likely.
    Without ``slices`` nothing is delegated: what such a run shows needs no slices. When no operation has come back for
    ``patience`` seconds (None: 5, or ``Adapter.timeout`` if that is more), and all stand still, those under way are
    given up as hung.
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
    run = _Run(adapter(), clients, operations, seed, a1=a1, duplicates=duplicates, noise=noise, slices=slices)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # a thread that is stopped everywhere meets the others everywhere
    try:
        run.work(max(5.0, adapter.timeout) if patience is None else patience)
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
    slices: bool
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
            elif time.monotonic() - since > patience and not joined(alive, patience):
                if sum(map(len, self.logs)) != now:
                    continue  # slow, and not at a stand: on a busy machine nobody else is accused either
                self.stop.set()
                time.sleep(_GRACE)  # whoever is just about to begin has begun, or has seen that it is over
                left = [op for op in self.under_way if op is not None]
                self.hung = tuple(f"client {op.client}: {op}" for op in left) or ("a client outside every operation",)
                return

    def history(self) -> History:
        """Return what was recorded, with times that count from 1; equal ones stay equal."""
        pending = [op for op in self.under_way if op is not None and op.do not in READS] if self.hung else []
        operations = [op for log in self.logs for op in list(log)]
        ended = {(op.client, op.called) for op in operations}
        operations += [op for op in pending if (op.client, op.called) not in ended]
        times = {op.called for op in operations} | {op.returned for op in operations if op.returned is not None}
        rank = {moment: number for number, moment in enumerate(sorted(times), start=1)}
        numbered = [
            replace(op, called=rank[op.called], returned=None if op.returned is None else rank[op.returned])
            for op in operations
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
        elif dice < 0.30 and run.slices and "delegate" in run.offers and len(self.slices) < 2:
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

    def ask(self, planned: Operation, operation: str, *args: Any) -> Answer:
        """Do one operation of the adapter and write down when, with how it ended."""
        run = self.run
        if run.stop.is_set():
            raise _Stopped
        called = time.perf_counter_ns()
        run.under_way[self.number] = replace(planned, called=called, returned=None, outcome="pending")
        answer = ask(run.adapter, operation, *args)
        returned = time.perf_counter_ns()
        if answer.kind is Kind.FAILED or answer.kind is Kind.HUNG:
            raise AdapterFailed(
                f"{type(run.adapter).__name__}.{operation} raised {answer.why}",
                cause="the adapter does not say what this exception means",
                hint="list its class under `refused`, `rejected` or `stale` of the adapter",
            )
        outcome, value, new, amount = answer.kind.value, planned.value, planned.new, planned.amount
        if answer.kind is Kind.DONE:
            if planned.do in READS:
                value = answer.value
                if type(value) is not int:
                    raise AdapterFailed(f"{operation} returned {value!r}", hint="return a whole number of units")
            elif operation == "check" and not answer.value:
                outcome, new = "refused", -1
            elif isinstance(answer.value, Granted):
                amount = answer.value.amount
        else:
            new = new if planned.do == "merge" else -1
        done = replace(planned, called=called, returned=returned, outcome=outcome, value=value, new=new, amount=amount)
        run.logs[self.number].append(done)
        run.under_way[self.number] = None  # only now: at any moment it stands in at least one of the two
        return replace(answer, kind=Kind(outcome))

    def planned(self, do: str, on: int, **more: Any) -> Operation:
        return Operation(self.number, do, on, 0, None, **more)

    def _new(self) -> int:
        """Return a number that no other client uses."""
        self.made += 1
        return self.run.roots + self.made * (self.run.clients + 1) + self.number

    def open(self, number: int, cap: int) -> None:
        answer = self.ask(self.planned("open", number, amount=cap), "open", cap)
        if answer.kind is not Kind.DONE:
            raise AdapterFailed(f"open({cap}) was {answer.kind}: {answer.why}", hint="let the adapter scale the unit")
        self.run.scopes[number] = answer.value

    def reserve(self, account: int) -> None:
        run, new, amount = self.run, self._new(), self.chance.randint(1, _MOST)
        scope = run.scopes[account]
        if self.gate is Gate.CHARGE and "settle" not in run.offers:
            self.ask(self.planned("charge", account, amount=amount), "charge", scope, amount)
            return
        planned = self.planned("reserve", account, new=new, amount=amount)
        if self.gate is Gate.RECORD:  # nobody is asked
            now = time.perf_counter_ns()
            run.logs[self.number].append(replace(planned, called=now, returned=now))
            self.holds.append(_Hold(new, account, None, amount))
            return
        answer = self.ask(planned, self.gate.value, scope, amount)
        if answer.kind is Kind.DONE:
            self.holds.append(_Hold(new, account, answer.value, amount))

    def go_on(self, hold: _Hold) -> None:
        """Take one hold a step further: send its request, hear of its reply, or give it up."""
        run, dice = self.run, self.chance.random()
        if hold.bill < 0 and dice < 0.15 and "release" in run.offers:
            self.ask(self.planned("release", hold.number), "release", hold.handle)
        elif dice < 0.25 and "extend" in run.offers:
            more = self.chance.randint(1, 4)
            planned = self.planned("extend", hold.number, amount=more)
            if self.ask(planned, "extend", hold.handle, more).kind is Kind.DONE:
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
        planned = self.planned("sent", hold.number, amount=hold.bill)
        if "sent" in run.offers:
            if self.ask(planned, "sent", hold.handle).kind is not Kind.DONE:
                hold.bill = 0  # it did not leave
        else:
            now = time.perf_counter_ns()
            run.logs[self.number].append(replace(planned, called=now, returned=now))

    def end(self, hold: _Hold) -> None:
        """Let the reply come, or the error: then the bill is told, or will never be known."""
        if hold.bill < 0:
            self.send(hold)
        if self.chance.random() < 0.05 and "forfeit" in self.run.offers and not self.books_late and hold.amount <= 4:
            self.ask(self.planned("forfeit", hold.number), "forfeit", hold.handle)
            return
        if self.run.duplicates and not self.books_late and self.chance.random() < 0.3:
            self.run.again.append(hold)
        self.settle(hold)

    def settle(self, hold: _Hold) -> None:
        planned = self.planned("settle", hold.number, amount=hold.bill)
        if self.books_late:
            self.ask(planned, "record", self.run.scopes[hold.account], hold.bill)
        else:
            self.ask(planned, "settle", hold.handle, hold.bill)

    def delegate(self, account: int) -> None:
        new, amount = self._new(), self.chance.randint(1, 2 * _MOST)
        planned = self.planned("delegate", account, new=new, amount=amount)
        answer = self.ask(planned, "delegate", self.run.scopes[account], amount)
        if answer.kind is Kind.DONE:
            scope = answer.value.scope if isinstance(answer.value, Granted) else answer.value
            self.run.scopes[new] = scope
            self.slices.append(new)

    def leave(self, account: int, root: int) -> None:
        """End a slice, by merging it into its root or by closing it; one that is busy stays."""
        scopes = self.run.scopes
        if "merge" in self.run.offers and self.chance.random() < 0.3:
            planned = self.planned("merge", root, new=account)
            kind = self.ask(planned, "merge", scopes[root], scopes[account]).kind
        else:
            kind = self.ask(self.planned("close", account), "close", scopes[account]).kind
        if kind is not Kind.DONE:
            self.slices.append(account)

    def look(self, account: int) -> None:
        reads = self._reads()
        if reads:
            operation, read = self.chance.choice(reads)
            self.ask(self.planned(read, account), operation, self.run.scopes[account])

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
                    self.ask(self.planned(read, account), operation, self.run.scopes[account])
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
