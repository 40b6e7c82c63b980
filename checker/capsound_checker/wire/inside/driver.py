"""The other end of the process in which an application runs: starts it, asks for schedules, and ends it."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Self

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.remote.isolation import signal_name
from capsound_checker.remote.lifeline import kill
from capsound_checker.wire.application import KEPT, environment
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.inside.forking import Tree, schedule_to_data
from capsound_checker.wire.inside.launching import Launched, launch
from capsound_checker.wire.inside.records import run_of_data
from capsound_checker.wire.inside.session import Bounds, Main
from capsound_checker.wire.inside.worker import serve_session
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.stepping import Run

BOUNDS = Bounds()
"""How far a run may go, where nothing else is said."""

MEMORY = 4096
"""How much each process of an application may allocate, in MiB."""


class CannotRunInside(CapsoundError):
    """The application cannot be loaded, or its process ended before it could be asked anything."""

    name = "cannot-run-inside"
    exit_status = EXIT_BAD_INPUT


class OutOfTime(Exception):
    """The time of the whole search is over."""


@dataclass(frozen=True, slots=True)
class Went:
    """One run that was told, and whether a bound has kept it from going on in one more way."""

    run: Run
    cut: bool


_LOOK = 0.2
"""How many seconds pass from one look at a silent process to the next."""

AGAIN = Went(Run(Schedule(), (), (), "again", 0, (), {}), cut=False)
"""Told in place of a run: the tree is gone through once more, and the runs before count for nothing."""


@dataclass(frozen=True, slots=True)
class Covered:
    """How much the last request has covered: schedules, and in how many states something was chosen."""

    schedules: int = 0
    states: int = 0


@dataclass
class Inside:
    """An application inside. A context: whatever happens, no process of it is left."""

    spawn: Callable[[Inside], None]
    until: float = float("inf")
    clients: tuple[str, ...] = ()
    """The modules whose asynchronous clients are served."""
    printed: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    covered: Covered = Covered()
    forks: bool = False
    """Whether each run is a process of its own: something would be left over otherwise."""
    why_forks: str = ""
    pid: int = 0
    ask: int = -1
    out: int = -1
    process: subprocess.Popen[bytes] | None = None
    _stop: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    _rest: bytes = b""
    _lines: deque[bytes] = field(default_factory=deque)
    _status: int | None = None

    def __enter__(self) -> Self:
        try:
            self.spawn(self)
            told = self._read()
        except BaseException:
            self.end()
            raise
        if told is None:
            words = self._how_it_ended()
            printed = f"it printed: {self.printed[-1]}" if self.printed else ""
            self.end()
            raise CannotRunInside(f"the application cannot be loaded: {words}", cause=printed)
        if told["say"] == "failed":
            self.end()
            raise CannotRunInside(told["message"], cause=told["cause"], hint=told["hint"])
        self.clients = tuple(told["clients"])
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def stop(self) -> int:
        """The open file that is not empty once no more is wanted."""
        return self._stop.fileno()

    def replace_stop(self, stop: IO[bytes]) -> None:
        """Take the file that a process was given when it was started."""
        self._stop.close()
        self._stop = stop

    def run(self, schedule: Schedule) -> Went:
        """Run one schedule. Raises ``OutOfTime``."""
        *_, went = self._runs({"do": "run", "schedule": schedule_to_data(schedule)}, schedule)
        return went

    def go_through(self, tree: Tree) -> Iterator[Went]:
        """Run all schedules of a tree, depth first, in one process where nothing is left over, else in copies of one.

        Yields ``Again`` where what came before counts for nothing. Raises ``OutOfTime``.
        """
        request = {"do": "tree", **asdict(tree)}
        for forks in (self.forks,) if self.forks else (False, True):
            again = False
            runs = self._runs({**request, "forks": forks})
            try:
                for one in runs:
                    again = again or one is AGAIN
                    yield one
            finally:
                os.pwrite(self.stop, b"1", 0)
                with contextlib.suppress(OutOfTime):
                    for _ in runs:
                        pass
                os.ftruncate(self.stop, 0)
            if not again:
                return
            self.forks = True

    def _runs(self, request: Mapping[str, Any], schedule: Schedule | None = None) -> Iterator[Went]:
        """Yield what is told until the end; a process that dies tells that by how it ends."""
        with contextlib.suppress(OSError):
            os.write(self.ask, json.dumps(request).encode() + b"\n")
        while True:
            told = self._read()
            if told is None:
                yield Went(self._lost(schedule or Schedule()), True)
                return
            if told["say"] == "again":
                self.why_forks = told["why"]
                yield AGAIN
                continue
            if told["say"] == "end":
                self.covered = Covered(told["schedules"], told["states"])
                return
            yield Went(run_of_data(told, schedule), bool(told.get("cut")))

    def _lost(self, schedule: Schedule) -> Run:
        """Return the run of an application that did not live until it waited for the first time."""
        self._how_it_ended()
        status = self._status or 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        hung = number in (signal.SIGPROF, signal.SIGALRM)
        return Run(schedule, (), (), "hung" if hung else "signal", 0 if hung else number, tuple(self.printed), {})

    # ------------------------------------------------------------------------------------------- the process

    def _read(self) -> dict[str, Any] | None:
        """Return the next message, or None where the process has ended and said no more."""
        while not self._lines:
            left = self.until - time.monotonic()
            if left <= 0:
                raise OutOfTime
            if not select.select([self.out], [], [], min(left, _LOOK))[0]:
                if not self._has_ended() or select.select([self.out], [], [], 0)[0]:
                    continue
                return None  # its guard, or what it has started, may hold the pipe open
            data = os.read(self.out, 1 << 20)
            if not data:
                return None
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._lines.extend(lines)
        message: dict[str, Any] = json.loads(self._lines.popleft())
        return message

    def _has_ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended(status)
        return self._status is not None

    def _ended(self, status: int) -> None:
        self._status = status
        if self.process is not None:
            self.process.returncode = os.waitstatus_to_exitcode(status)

    def _how_it_ended(self) -> str:
        if self._status is None:
            self._ended(os.waitpid(self.pid, 0)[1])
        status = self._status
        assert status is not None
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            hangs = "it hangs: " if number in (signal.SIGPROF, signal.SIGALRM) else ""
            return f"{hangs}its process was ended by {signal_name(number)}"
        return f"its process exited with status {os.WEXITSTATUS(status)}"

    def end(self) -> None:
        """End the process and all its copies."""
        for one in (self.ask, self.out):
            if one >= 0:
                os.close(one)
        self.ask = self.out = -1
        if self.pid:
            kill(self.pid, group=True)
            if self._status is None:
                kill(self.pid)
                self._how_it_ended()
            self.pid = 0
        self._stop.close()


def of_command(
    place: str,
    name: str,
    billing: Billing,
    prices: tuple[str, ...],
    *,
    bounds: Bounds = BOUNDS,
    patience: float = 10.0,
    variables: tuple[str, ...] = (),
    replies: tuple[str, ...] = (),
    until: float = float("inf"),
    launched: Launched | None = None,
) -> Inside:
    """Return an application that is loaded, in a fresh process, from a file or a module."""

    def spawn(inside: Inside) -> None:
        started = launched if launched is not None else launch(variables)
        process, started.taken = started.process, True
        assert process.stdin is not None
        assert process.stdout is not None
        inside.process, inside.pid, inside.out = process, process.pid, started.out
        inside.replace_stop(started.stop)
        inside.ask = os.dup(process.stdin.fileno())
        process.stdin.close()
        threading.Thread(target=_keep, args=(process.stdout, inside.printed), daemon=True).start()
        at = billing.tariff.at
        request = {
            "place": place,
            "name": name,
            "unit": billing.tariff.unit.name,
            "prices": prices,
            "replies": replies,
            "at": at.isoformat() if at is not None else "",
            "output": billing.output,
            "memory": MEMORY,
            "patience": patience,
            "bounds": asdict(bounds),
        }
        with contextlib.suppress(BrokenPipeError):
            os.write(inside.ask, json.dumps(request).encode() + b"\n")

    return Inside(spawn, until)


def of_function(main: Main, billing: Billing, *, bounds: Bounds = BOUNDS, patience: float = 10.0) -> Inside:
    """Return an application that is a coroutine function of this process, run in copies of it."""

    def spawn(inside: Inside) -> None:
        out, theirs = os.pipe()
        asks, inside.ask = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.setsid()
                faulthandler.disable()  # what crashes is told as such
                os.close(out)
                os.close(inside.ask)
                null = os.open(os.devnull, os.O_RDWR)
                for number in (0, 1, 2):
                    os.dup2(null, number)
                os.environ.update(environment(9))
                serve_session(lambda: main, billing, bounds, patience, (asks, theirs, inside.stop))
                status = 0
            finally:
                _EXIT(status)
        os.close(theirs)
        os.close(asks)
        inside.pid, inside.out = pid, out

    return Inside(spawn)


_EXIT = os._exit


def _keep(stream: IO[bytes], printed: deque[str]) -> None:
    """Keep the last lines of what is printed, a little of each."""
    rest = b""
    with stream, contextlib.suppress(OSError, ValueError):
        while data := os.read(stream.fileno(), 65_536):
            *lines, rest = (rest + data).split(b"\n")
            printed.extend(line[:500].decode(errors="replace") for line in lines[-KEPT:])
            rest = rest[:500]
    if rest:
        printed.append(rest.decode(errors="replace"))
