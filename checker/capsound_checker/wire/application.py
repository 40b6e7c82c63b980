"""The application: started with the provider's address in its environment, watched, and never left behind."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.intake.limits import cut
from capsound_checker.remote.lifeline import TAG, guarded, kill, lifeline, marked, undisturbed
from capsound_checker.wire import idle
from capsound_checker.wire.masking import mask

KEPT = 20
"""How many lines of what the application prints are kept."""

_NUMBERS = itertools.count()
_PR_SET_CHILD_SUBREAPER = 36


class CannotRun(CapsoundError):
    """There is no such command."""

    name = "cannot-start"
    exit_status = EXIT_BAD_INPUT


KEY = "sk-capsound-0000000000000000000000000000000000000000"
"""The key that applications are given: it opens nothing."""


def environment(port: int, more: Sequence[str] = ()) -> dict[str, str]:
    """Return the variables that lead the vendors' clients to us.

    ``more`` are names of others, or NAME=TEXT where {url} stands for the address.
    """
    url = f"http://127.0.0.1:{port}"
    variables = {
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": url,
        "GOOGLE_VERTEX_BASE_URL": url,
        "GEMINI_API_KEY": KEY,
        "GOOGLE_API_KEY": KEY,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),
    }
    for item in more:
        name, equals, text = item.partition("=")
        variables[name] = text.replace("{url}", url) if equals else f"{url}/v1"
    return variables


@dataclass(slots=True)
class Application:
    """One run of the command. ``end`` has to be called."""

    command: Sequence[str]
    variables: Mapping[str, str]
    folder: Path | None = None
    printed: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    _process: subprocess.Popen[bytes] | None = None
    _mark: str = ""
    _reader: threading.Thread | None = None
    _before: frozenset[int] = frozenset()

    def start(self) -> None:
        """Start it. Raises ``CannotRun``."""
        adopt()
        self._before = frozenset(idle.children())
        self._mark = f"{os.getpid()}.{next(_NUMBERS)}"
        pipe = lifeline()
        if shutil.which(self.command[0]) is None:
            raise CannotRun(
                f"there is no command {cut(self.command[0])!r}",
                hint="give it after --, as you would type it",
            )
        self._process = subprocess.Popen(
            guarded(list(self.command), pipe),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(pipe,),
            start_new_session=True,
            env={**os.environ, **self.variables, TAG: self._mark},
            cwd=self.folder,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Keep the last lines that it prints: it must not be stopped by a full pipe."""
        assert self._process is not None
        assert self._process.stdout is not None
        rest = b""
        descriptor = self._process.stdout.fileno()
        while True:
            try:
                data = os.read(descriptor, 65_536)
            except OSError:
                data = b""
            *lines, rest = (rest + data).split(b"\n")
            self.printed.extend(mask(line[:500].decode(errors="replace")) for line in lines[-KEPT:])
            rest = rest[:500]
            if not data:
                break
        if rest:
            self.printed.append(mask(rest.decode(errors="replace")))

    def processes(self) -> tuple[int, ...]:
        """Return the processes that it has started itself, and those that were handed to us since.

        Whoever has ended is taken leave of; the guard that stands beside the command is none of them.
        """
        process = self._process
        assert process is not None
        process.poll()
        adopted = set(idle.children()) - self._before
        for pid in adopted - {process.pid}:
            with contextlib.suppress(OSError):  # what nobody else waits for
                os.waitpid(pid, os.WNOHANG)
        return tuple(sorted(pid for pid in adopted if not is_guard(pid)))

    @property
    def status(self) -> int | None:
        """The exit status of the command, negative for a signal; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def end(self) -> None:
        """Kill it and everything that it has started, also what has left its session."""
        process = self._process
        if process is None:
            return
        with undisturbed():
            kill(process.pid, group=True)
            process.kill()
            process.wait()
            for _ in range(100):
                left = {*marked(f"{TAG}={self._mark}"), *idle.tree(set(idle.children()) - self._before)}
                for pid in left:
                    kill(pid)
                    with contextlib.suppress(OSError):
                        os.waitpid(pid, 0 if pid in idle.children() else os.WNOHANG)
                if not left:
                    break
        if self._reader is not None:
            self._reader.join(1.0)
        if process.stdout is not None:
            process.stdout.close()


def adopt() -> None:
    """Let processes whose parent ends be handed to this one, where the system can do it: so none of them is lost."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(Exception):  # another libc: their environment still tells them
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def is_guard(pid: int) -> bool:
    """Whether a process is the guard of ``lifeline``, or one that has ended."""
    with contextlib.suppress(OSError):
        command = idle.read(f"/proc/{pid}/cmdline")
        return not command or command.startswith(b"/bin/sh\0-c\0(read -r _ </dev/fd/")
    return True
