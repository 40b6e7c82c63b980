"""One process that has imported what a child needs, and forks: each child begins where a fresh one would, at once.

A check starts some ten children, and most of what a short one costs is the import of the same modules. The nursery is a
child like any other, with a guard beside it, that loads nothing of the target. What it forks is the leader of a session
of its own, with a guard and a mark of its own, and its parent is the nursery: whatever a target does to its parent, it
does not do to the process that judges. A child with another hash seed, or without a nursery, is a fresh process.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import itertools
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, NoReturn, Self

from capsound_checker.remote.lifeline import TAG, end_with, guard, guarded, kill, kill_marked, lifeline, undisturbed

POSSIBLE = hasattr(os, "fork") and hasattr(os, "waitid") and hasattr(socket, "send_fds")
"""Whether this system can do it; elsewhere every child is a fresh process."""

_NUMBERS = itertools.count()
_OPEN = 16
"""How many open files are handed over at most."""


def mark() -> str:
    """Return an entry of the environment that no other process has; all are equally long."""
    return f"{TAG}={os.getpid()}.{next(_NUMBERS):08d}"


class Forked:
    """A process that a nursery has forked: what ``subprocess.Popen`` is for one that was started."""

    def __init__(self, control: socket.socket, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self._control = control
        self._said = b""
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, None while it lives."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the status, negative where a signal killed it. Raises ``TimeoutExpired``."""
        while self.returncode is None:
            self._control.settimeout(timeout)
            try:
                said = self._control.recv(64)
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0) from None
            except OSError:
                said = b""
            self._said += said
            if not said:  # the nursery has ended, and the child with it
                self.returncode = -signal.SIGKILL
            elif self._said.endswith(b"\n"):
                self.returncode = int(self._said)
        return self.returncode

    def kill(self) -> None:
        """Kill it, unless it has ended; its number stays its own until ``close``."""
        if self.returncode is None:
            kill(self.pid)

    def close(self) -> None:
        """Let its number go."""
        self._control.close()


class Nursery:
    """A process of which children are forked; to be used in a block, after which it has ended."""

    def __init__(self, module: str, environment: Callable[[], dict[str, str]], program: str = sys.executable) -> None:
        self._module, self._environment, self._program = module, environment, program
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._mark = ""

    def __enter__(self) -> Self:
        """Begin; the process is started when its first child is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, and what it may have forked."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with undisturbed():
                kill(self._process.pid, group=True)
                self._process.kill()
                self._process.wait()
                kill_marked(self._mark)
        self._process = self._control = None

    def _begin(self) -> socket.socket:
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        pipe = lifeline()
        self._mark = mark()
        name, _, value = self._mark.partition("=")
        with theirs:
            command = [self._program, "-m", self._module, "--nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(
                guarded(command, pipe),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), pipe),
                start_new_session=True,
                env={**self._environment(), name: value},
            )
        self._control = ours
        return ours

    def _answer(self, line: socket.socket) -> int:
        """Return the number of a process that was asked for; raises ``OSError`` where the nursery has ended."""
        while not select.select([line], (), (), _GLANCE)[0]:
            if self._process is None or self._process.poll() is not None:
                raise OSError("the nursery has ended")
        ready = b""
        while not ready.endswith(b"\n"):  # byte by byte: how it ended may be behind the number already
            more = line.recv(1)
            if not more:
                raise OSError("the nursery does not answer")
            ready += more
        return int(ready)

    def fork(self, entry: str, open_files: Sequence[int]) -> Forked | None:
        """Return a new process with ``entry`` in its environment and ``open_files``; None where that did not work.

        Its first argument is the first of the open files.
        """
        pipe = lifeline()
        said, told = os.pipe(), os.pipe()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                numbers = [pipe, *open_files]
                message = " ".join([entry, *map(str, numbers)]).encode()
                with self._lock:
                    control = self._begin()
                    socket.send_fds(control, [message.ljust(_MESSAGE)], [said[0], told[1], theirs.fileno(), *numbers])
            return Forked(ours, self._answer(ours), os.fdopen(said[1], "wb", buffering=0), os.fdopen(told[0], "rb"))
        except OSError:
            ours.close()
            os.close(said[1])
            os.close(told[0])
            return None
        finally:
            os.close(said[0])
            os.close(told[1])


_MESSAGE = 256
_GLANCE = 0.1
"""How often somebody who waits for a process looks whether there is still a nursery, in seconds."""


def serve(control: int, work: Callable[[int], None]) -> NoReturn:
    """Fork a child for each message from ``control``, and say how it ended; ends when ``control`` does.

    In the child, ``work`` is called with the first open file that was handed over. The kernel is not asked to end this
    process with its parent: it would do so at the end of the thread that has asked for the first child.
    """
    with contextlib.suppress(ImportError):
        import ctypes  # noqa: F401 - each child would load it anew
    gc.collect()
    gc.freeze()
    children: dict[int, socket.socket] = {}
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    with socket.socket(fileno=control) as asked, selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == woken:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 4_096)
                    for pid, line in children.items():
                        _tell(pid, line)
                elif key.fileobj is asked:
                    message, files, _, _ = socket.recv_fds(asked, _MESSAGE, _OPEN)
                    if not message:
                        os._exit(0)
                    pid = os.fork()
                    if not pid:
                        _child(message, files, [control, woken, wake, *(s.fileno() for s in children.values())], work)
                    for number in (*files[:2], *files[3:]):
                        os.close(number)
                    line = socket.socket(fileno=files[2])
                    children[pid] = line
                    selector.register(line, selectors.EVENT_READ, pid)
                else:  # who asked for the child lets it go
                    pid = key.data
                    selector.unregister(key.fileobj)
                    children.pop(pid).close()
                    kill(pid)
                    os.waitpid(pid, 0)


def _tell(pid: int, line: socket.socket) -> None:
    """Say how a child ended, if it has; its number stays its own until whoever asked for it lets go."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if ended is not None:
        with contextlib.suppress(OSError):
            line.send(b"%d\n" % (ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
            line.shutdown(socket.SHUT_WR)


def _child(message: bytes, files: list[int], ours: Sequence[int], work: Callable[[int], None]) -> NoReturn:
    """Become what a fresh process would be, and work."""
    try:
        nursery = os.getppid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        entry, *told = message.decode().split()
        numbers = [0, 1, *map(int, told)]
        floor = max(64, *numbers) + 1
        stdin, stdout, line, *handed = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, floor) for number in files)
        for number in (*files, *ours):
            os.close(number)
        for number, wanted in zip((stdin, stdout, *handed), numbers, strict=True):
            os.dup2(number, wanted)
            os.close(number)
        os.dup2(1, 2)
        _rename(entry)
        end_with(nursery)
        guard(int(told[0]))
        os.write(line, b"%d\n" % os.getpid())
        os.close(line)
        work(int(told[1]))
    finally:
        os._exit(1)


def _rename(entry: str) -> None:
    """Put ``entry`` into the environment, also where /proc shows it: what is only forked inherits nothing else."""
    name, _, value = entry.partition("=")
    if sys.platform.startswith("linux"):
        with contextlib.suppress(Exception):  # another libc: what the target starts is still marked
            import ctypes

            library = ctypes.CDLL(None)
            library.getenv.restype = ctypes.c_void_p
            place = library.getenv(name.encode())
            if place and len(ctypes.string_at(place)) == len(value):
                ctypes.memmove(place, value.encode(), len(value))
    os.environ[name] = value
