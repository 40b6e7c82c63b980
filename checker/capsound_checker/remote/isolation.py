"""A process of its own for somebody else's code: watched, limited, and never left behind.

The target may hang, crash, exit, print, or eat memory. It lives in a child with a session of its own, so that it
and everything it starts can be killed at once; should this process end first, a guard does it (``lifeline``). What
it prints is kept, a little of it. What the child has to say comes as JSON lines over a pipe that is not its standard
output.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from capsound_checker.programs.owntime import Allowance
from capsound_checker.programs.watch import SECONDS
from capsound_checker.remote.interpreters import HERE, Interpreter
from capsound_checker.remote.lifeline import guarded, kill, kill_marked, lifeline, undisturbed
from capsound_checker.remote.nursery import POSSIBLE, Forked, Nursery, mark
from capsound_checker.remote.process import LOAD_SECONDS

MANY = 10
"""How many times as long on the clock as of its own time a target may load: then a machine is too busy for it."""

KEPT = 20
"""How many lines of what the target prints are kept."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child came to its end.

    ``how`` is ``done``, ``exit``, ``signal``, ``unloaded``, ``silent``, ``time`` or ``stopped``.
    """

    how: str
    code: float = 0
    """The status, the number of the signal, or the seconds that loading may take."""
    printed: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What happened, in words."""
        match self.how:
            case "exit":
                return f"the process that ran it exited with status {self.code}"
            case "signal":
                return f"the process that ran it was killed by {signal_name(int(self.code))}"
            case "unloaded":
                return f"it was not loaded within {self.code:g} s"
            case "silent":
                return "it did not come back, and could not be interrupted"
            case "time":
                return "the time was over"
            case _:
                return "it came to its end"


@dataclass
class Child:
    """One process of ``capsound_checker.check.worker``; ``run`` hands on what it says until it ends."""

    request: Mapping[str, Any]
    memory: int
    """In MiB: how much the child may allocate; 0 for no limit."""
    inherit: tuple[int, ...]
    """Open files that the child may use."""
    silence: float
    """How many seconds of its own time it may say nothing before it is killed."""
    stop: threading.Event
    """Set from another thread, it ends the child."""
    load: float = LOAD_SECONDS
    """How many seconds of its own time it may say nothing until it has loaded the target."""
    nursery: Nursery | None = None
    """Of which it is forked, unless it needs another hash seed; without, it is a fresh process."""
    interpreter: Interpreter = HERE
    """Who runs it; a nursery has to be of the same."""
    _printed: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    _process: subprocess.Popen[bytes] | Forked | None = None
    _mark: str = ""

    def run(self, deliver: Callable[[dict[str, Any]], None], until: float) -> Ended:
        """Run the child; ``deliver`` gets each of its messages. Kill it when it falls silent or at ``until``.

        ``until`` is a time of ``time.monotonic``; what loading takes is added to it. Whatever happens, no
        process is left when this returns or raises.
        """
        read, write = os.pipe()
        self._mark = mark()
        given = os.environ.get("PYTHONPATH")
        request = json.dumps({**self.request, "memory": self.memory, "pythonpath": given, "parent": os.getpid()})
        try:
            self._process = self._start(write)
            os.close(write)
            write = -1
            with os.fdopen(read, "rb", buffering=0) as output:
                read = -1
                assert self._process.stdin is not None
                with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
                    stdin.write(request.encode())
                return self._receive(output, deliver, until)
        finally:
            for left in (read, write):
                if left >= 0:
                    os.close(left)
            self.kill()

    def _start(self, write: int) -> subprocess.Popen[bytes] | Forked:
        """Return the process: forked where there is a nursery that can, else a fresh one."""
        hashing = str(self.request.get("hashing", HASHING))
        if self.nursery is not None and hashing == HASHING:
            forked = self.nursery.fork(self._mark, (write, *self.inherit))
            if forked is not None:
                return forked
        pipe = lifeline()
        name, _, value = self._mark.partition("=")
        return subprocess.Popen(
            guarded([self.interpreter.program, "-m", WORKER, str(write)], pipe),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(write, pipe, *self.inherit),
            start_new_session=True,
            env={**environment(hashing, self.interpreter.path), name: value},
        )

    def _receive(self, output: IO[bytes], deliver: Callable[[dict[str, Any]], None], until: float) -> Ended:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        rest, shown, done, loaded = b"", b"", False, False
        silence, began, given = self.load, time.monotonic(), until
        until = began + MANY * silence
        quiet = Allowance(silence, process.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ, "output")
            selector.register(process.stdout, selectors.EVENT_READ, "printed")
            while True:
                late, left = time.monotonic() >= until, quiet.left()
                if late or left <= 0 or self.stop.is_set():
                    self._print(shown)
                    if not loaded and not self.stop.is_set():
                        return self._ended("unloaded", self.load)
                    return self._ended("stopped" if self.stop.is_set() else "time" if late else "silent")
                for key, _ in selector.select(min(0.2, left)):
                    if key.data == "printed":
                        data = process.stdout.read(65_536)
                        if not data:
                            selector.unregister(process.stdout)
                        shown = self._print(shown + (data or b""), whole=False)
                        continue
                    data = os.read(output.fileno(), 65_536)
                    if not data:
                        self._print(shown)
                        return self._gone(done)
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        message = json.loads(line)
                        done = done or message.get("say") == "end"
                        if message.get("say") == "loaded":
                            slow = max(0.0, float(message["timeout"]) - SECONDS)  # nobody is dead who may take that
                            loaded, silence = True, self.silence + slow
                            until = given + slow + time.monotonic() - began
                        else:
                            deliver(message)
                    quiet = Allowance(silence, process.pid)
                if process.poll() is not None and not selector.select(0):
                    self._print(shown)
                    return self._gone(done)

    def _gone(self, done: bool) -> Ended:
        process = self._process
        assert process is not None
        if done:  # threads of the target may keep it; all that it had to say has come
            return self._ended("done")
        try:
            code = process.wait(0.5)
        except subprocess.TimeoutExpired:
            return self._ended("silent")
        return self._ended("signal", -code) if code < 0 else self._ended("exit", code)

    def _ended(self, how: str, code: float = 0) -> Ended:
        return Ended(how, code, tuple(self._printed))

    def _print(self, data: bytes, *, whole: bool = True) -> bytes:
        """Keep the last lines of what was printed; return what is no whole line yet, a little of it at most."""
        *lines, rest = data.split(b"\n")
        if whole and rest:
            lines, rest = [*lines, rest], b""
        self._printed.extend(line[:500].decode(errors="replace") for line in lines[-KEPT:])
        return rest[:500]

    def kill(self) -> None:
        """Kill the child and everything that it has started, also what has left its session, where that can be seen."""
        process = self._process
        if process is None:
            return
        with undisturbed():
            kill(process.pid, group=True)
            process.kill()
            process.wait()
            kill_marked(self._mark)
        if process.stdout is not None:
            process.stdout.close()
        if isinstance(process, Forked):
            process.close()


WORKER = "capsound_checker.check.worker"
HASHING = "0"
"""The hash seed of a child for which no other is asked."""


def environment(hashing: str = HASHING, path: str = "") -> dict[str, str]:
    """Return the environment of a child; ``path`` is where it finds our packages, if not where we have found them."""
    # Each arena of malloc reserves 64 MiB for a thread: that would count as memory.
    own = {"PYTHONHASHSEED": hashing, "PYTHONPATH": path or _path(), "MALLOC_ARENA_MAX": "2"}
    return {**os.environ, **own}


def nursery(interpreter: Interpreter = HERE) -> Nursery | contextlib.nullcontext[None]:
    """Return a nursery for children, to be used in a block; nothing where the system can have none."""
    if not POSSIBLE:
        return contextlib.nullcontext()
    return Nursery(WORKER, lambda: environment(path=interpreter.path), interpreter.program)


def _path() -> str:
    """Return where the child finds our packages: where this process has found them."""
    return os.pathsep.join(dict.fromkeys(p for p in sys.path if p))


def signal_name(number: int) -> str:
    """Return what a signal is called."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def limit_memory(mebibytes: int) -> None:
    """Let this process allocate no more than ``mebibytes``; nothing where the system has no such limit."""
    if mebibytes <= 0:
        return
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        size = mebibytes << 20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
