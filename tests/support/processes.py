"""What can be seen of processes from outside: which a check has left behind, and when one waits for more input."""

from __future__ import annotations

import array
import contextlib
import fcntl
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LATEST = 900.0
"""When a test gives up, in seconds: it waits for events, and this is no measure of how long they take."""


def until(what: Callable[[], object]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + LATEST
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def until_it_waits(process: subprocess.Popen[Any]) -> None:
    """Wait until a process has read all that was written to its standard input, and sleeps."""
    assert process.stdin is not None
    if not Path("/proc/self/stat").exists():
        time.sleep(3)  # there is nothing to see from outside
        return
    pipe = process.stdin.fileno()

    def waits() -> bool:
        unread = array.array("i", [0])
        fcntl.ioctl(pipe, termios.FIONREAD, unread)
        return not unread[0] and Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"

    for _ in range(5):  # it also sleeps for a moment when it waits for the disk, or for another thread
        until(waits)
        time.sleep(0.05)


def left_behind(checker: int) -> list[int]:
    """Return the processes that were begun by a check in the process ``checker``, however far down."""
    mark = f"PROCESS_GROUP_TAG={checker}.".encode()
    out = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if mark in path.read_bytes():
                out.append(int(path.parent.name))
    return out
