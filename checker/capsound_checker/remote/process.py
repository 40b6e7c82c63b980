"""A child process under control: its lines, its time limits, its end.

The child leads a session of its own, with a guard beside it that kills the whole group as soon as we have ended,
however that was (``lifeline``). Standard error is kept, its last part. Needs a POSIX system.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capsound.errors import EXIT_BAD_INPUT, EXIT_UNKNOWN, EXIT_USAGE, CapsoundError
from capsound_checker.intake.limits import cut, excerpt
from capsound_checker.programs.owntime import Allowance, count_waits_of, forget
from capsound_checker.programs.watch import pulse
from capsound_checker.remote.lifeline import guarded, kill, lifeline

MAX_LINE = 1 << 20
"""The longest answer, in bytes."""


LOAD_SECONDS = 60.0
"""How long loading may take: a large library needs several seconds, and hangs in nobody's way."""


class BadAddress(CapsoundError):
    """An address that names no command, or a setting that there is not."""

    name = "bad-address"
    exit_status = EXIT_USAGE


class HarnessDied(CapsoundError):
    """The child ended although an answer was due, or its answer broke off; the evidence is in ``cause``."""

    name = "harness-died"
    exit_status = EXIT_UNKNOWN


class HarnessHung(CapsoundError, TimeoutError):
    """No answer came in time."""

    name = "harness-hung"
    exit_status = EXIT_UNKNOWN
    hung = True


class CannotStart(CapsoundError):
    """There is no such command."""

    name = "cannot-start"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Address:
    """How a harness is started. ``timeout`` is how many seconds an answer may take, ``start`` the first one.

    Both are of the harness's own time: what it waits for a turn on a busy machine is not counted.
    """

    command: tuple[str, ...]
    timeout: float = 5.0
    start: float = LOAD_SECONDS

    def __str__(self) -> str:
        return f"cmd[timeout={self.timeout:g},start={self.start:g}]:{shlex.join(self.command)}"


def is_address(text: str) -> bool:
    """Whether a target is an address of a command, and no adapter class."""
    return text.startswith(("cmd:", "cmd["))


def words_of(command: str) -> tuple[str, ...]:
    """Return the words of a command, split as a POSIX shell would split it. Raises ``BadAddress``."""
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise BadAddress(f"{command!r} is no command: {error}", hint="close every quotation mark") from None


def parse_address(text: str, *, start: float = LOAD_SECONDS) -> Address:
    """Return the address that ``text`` stands for: ``cmd:COMMAND``, or ``cmd[timeout=5,start=60]:COMMAND``.

    ``start`` is how long it may take to start where the address itself does not say. The command is split
    as a POSIX shell would split it, and run without one. Raises ``BadAddress``.
    """
    head, colon, command = text.partition("]:" if text.startswith("cmd[") else ":")
    usage = "write cmd:COMMAND, or cmd[timeout=5,start=60]:COMMAND, where both are seconds"
    if not is_address(text) or not colon:
        raise BadAddress(f"{text!r} is no address of a harness", hint=usage)
    words = words_of(command)
    if not words:
        raise BadAddress(f"{text!r} names no command", hint=usage)
    settings: dict[str, float] = {"start": start}
    for part in filter(None, head.removeprefix("cmd").removeprefix("[").split(",")):
        name, _, value = part.partition("=")
        if name.strip() not in ("timeout", "start"):
            raise BadAddress(f"there is no setting {name.strip()!r}", hint=usage)
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < _LONGEST:
            raise BadAddress(f"{name.strip()} is {value!r}, and not a number of seconds above 0", hint=usage)
        settings[name.strip()] = seconds
    return Address(words, **settings)


_LONGEST = 86_400.0


class Child:
    """One run of a command. Raises ``CannotStart`` when there is none such."""

    def __init__(self, command: tuple[str, ...]) -> None:
        if shutil.which(command[0]) is None:
            raise CannotStart(
                f"there is no command {command[0]!r}",
                cause=f"the harness is started by: {shlex.join(command)}",
                hint="give a path, or a command that is found on PATH; a shell's own words cannot be used",
            )
        pipe = lifeline()
        self._process = subprocess.Popen(
            guarded(command, pipe),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(pipe,),
            start_new_session=True,
            bufsize=0,
        )
        process = self._process
        count_waits_of(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._in, self._out, self._err = process.stdin.fileno(), process.stdout.fileno(), process.stderr.fileno()
        os.set_blocking(self._err, False)
        os.set_blocking(self._in, False)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        self._stderr_tail = bytearray()
        self._rest = b""
        self._ended = False

    @property
    def pid(self) -> int:
        """The process id, which is that of the session and of the group too."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it was ended by us; it cannot be used any more."""
        return self._ended

    def exchange(self, line: bytes, seconds: float) -> bytes:
        """Write a line and return the next that is read; whatever goes wrong, the child is ended.

        Raises ``HarnessDied`` and ``HarnessHung``.
        """
        try:
            return self._exchange(line, Allowance(seconds), seconds)
        except BaseException:  # an alarm or Ctrl-C too: what it would answer now belongs to no request
            self.kill()
            raise

    def _exchange(self, line: bytes, own: Allowance, seconds: float) -> bytes:
        if self._rest:
            raise self._died("the harness answered more than it was asked", line, self._rest)
        self._write(line, own, seconds)
        held = b""
        while True:
            at = held.find(b"\n")
            if at >= 0:
                self._rest = held[at + 1 :]
                return held[: at + 1]
            if len(held) > MAX_LINE:
                raise self._died(f"the harness printed more than {MAX_LINE} bytes without an end of line", line, held)
            left = own.left()
            if left <= 0:
                raise self._hung(line, seconds)
            ready = self._poll.poll(max(1.0, min(left, _SLICE) * 1_000))
            pulse[0] += not ready  # it is waited for, which has its own limit: that is no silence of ours
            for file, _ in ready:
                if file == self._err:
                    self._drain_stderr()
                    continue
                more = os.read(self._out, 1 << 16)
                if not more:
                    raise self._died("the harness ended before it answered", line, held)
                held += more

    def _write(self, line: bytes, own: Allowance, seconds: float) -> None:
        while line:
            try:
                line = line[os.write(self._in, line) :]
            except BlockingIOError:
                self._drain_stderr()
                if own.left() <= 0:
                    raise self._hung(line, seconds) from None
                select.select([], [self._in], [], 0.05)
            except BrokenPipeError:
                return  # it has ended, which shows where it is read

    def _drain_stderr(self) -> None:
        """Take what is on standard error, and keep its end."""
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self._err, 1 << 16):
                self._stderr_tail += more
                del self._stderr_tail[:-_KEPT]
                if len(more) < 1 << 16:
                    return
            self._poll.unregister(self._err)
            self._err = -1

    def _died(self, what: str, line: bytes, held: bytes) -> HarnessDied:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        if held:
            what += f", in the middle of {_shown(held)!r}"
        cause = f"{self.status()}; it was asked {_shown(line)}{self._stderr()}"
        return HarnessDied(what, cause=cause, hint="run the command by hand and give it that line")

    def _hung(self, line: bytes, seconds: float) -> HarnessHung:
        more = "--load-timeout 5m" if _IS_START in line else "cmd[timeout=30]:COMMAND"
        return HarnessHung(
            f"the harness did not answer within {seconds:g} s",
            cause=f"it was asked {_shown(line)}{self._stderr()}",
            hint=f"flush after every line; give a slow one more time by {more}",
        )

    def _stderr(self) -> str:
        told = self.stderr()
        return f"; standard error ends with:\n{told}" if told else "; it said nothing on standard error"

    def stderr(self) -> str:
        """Return the end of what it has written to standard error."""
        if self._err >= 0:
            self._drain_stderr()
        lines = self._stderr_tail.decode(errors="backslashreplace").splitlines()
        return "\n".join(cut(line, _LONGEST_LINE) for line in lines[-_LINES:])

    def status(self) -> str:
        """Return in words how it has ended, or that it runs."""
        code = self._process.poll()
        if code is None:
            return "it has closed its standard output"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"

    def kill(self) -> None:
        """End it and everything that it has started in its group."""
        if self._ended:
            return
        self._ended = True
        forget(self.pid)
        if self._err >= 0:
            self._drain_stderr()
        self._err = -1
        kill(self.pid, group=True)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def stop(self, line: bytes) -> None:
        """Ask it to end, wait a moment, and end it."""
        if self._ended:
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            os.write(self._in, line)
            self._process.wait(_GRACE)
        self.kill()


def _shown(line: bytes) -> str:
    return excerpt(line.decode(errors="backslashreplace"), _SHOWN)


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Let no alarm of ours ring inside the block: starting an interpreter is not the implementation's time."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    left, every = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        if left:
            signal.setitimer(signal.ITIMER_REAL, left, every)


def python_address(interpreter: str, target: str, *, timeout: float = 5.0, start: float = LOAD_SECONDS) -> Address:
    """Return the address of our Python harness: an adapter class in the environment of another interpreter."""
    harness = Path(__file__).with_name("harness.py")
    return Address((interpreter, "-u", str(harness), target), timeout, start)


_SLICE = 0.1
"""How many seconds at a time an answer is waited for."""

_KEPT = 16_384
_LINES = 20
_LONGEST_LINE = 1_000
_SHOWN = 300
_GRACE = 0.5
_IS_START = b'"cmd":"start"'
