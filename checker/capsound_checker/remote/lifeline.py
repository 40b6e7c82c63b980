"""Processes that end with this one, however it ends: by itself, by Ctrl-C, or killed.

This process alone holds the writing end of a pipe; the system closes it in any case. Whoever reads the other end to its
end knows that we are gone. A command is given a guard beside it, which reads, and then kills the whole group: it also
reaches what a command has started, and one that is stuck. A forked process reads in a thread of its own. Where the
system can do it (Linux), the kernel ends a child of ours besides.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

TAG = "PROCESS_GROUP_TAG"
"""A variable of the environment that everything inherits; its name says nothing of us to a target that looks."""

_ends: list[int] = []
"""The reading and the writing end, once they are needed."""


def lifeline() -> int:
    """Return the open file that comes to its end with this process; hand it to a child, which only reads it."""
    if not _ends:
        _ends.extend(os.pipe())
    return _ends[0]


def _forked() -> None:
    """Let go of the writing end in a child: it would live on in it. A child that becomes a parent has its own."""
    if _ends:
        with contextlib.suppress(OSError):
            os.close(_ends[1])
        _ends.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def guarded(command: Sequence[str], pipe: int) -> list[str]:
    """Return the command, to be started as the leader of a session, with a guard in its group that reads ``pipe``.

    ``pipe`` has to be passed to it. Whoever ends the command has to kill its group, and the guard with it.
    """
    return ["/bin/sh", "-c", _GUARD.format(pipe=pipe), "capsound", *command]


_MARKED = (
    "read -r self _ </proc/self/stat; quiet=0; most=200; "
    'while [ "$quiet" -lt 3 ] && [ "$most" -gt 0 ]; do quiet=$((quiet + 1)); most=$((most - 1)); '
    'for one in $(grep -lszFx "PROCESS_GROUP_TAG=$PROCESS_GROUP_TAG" /proc/[0-9]*/environ); do '
    'one=${{one#/proc/}}; one=${{one%/environ}}; [ "$one" = "$self" ] || ! kill -KILL "$one" || quiet=0; done; done'
)
"""Ends what has left the group, but not its environment; looks until there is none: it may begin more meanwhile."""
_WATCH = 'read -r _ </dev/fd/{pipe}; if [ -n "$PROCESS_GROUP_TAG" ]; then ' + _MARKED + '; fi; kill -KILL "-{group}"'
_GUARD = "(" + _WATCH.replace("{group}", "$$") + ') </dev/null >/dev/null 2>&1 & exec "$@"'


def guard(pipe: int) -> None:
    """Start a guard in the group of this process, which leads it: what ``guarded`` does where nothing is started."""
    with Path(os.devnull).open("r+b", buffering=0) as nothing:
        os.posix_spawn(
            "/bin/sh",
            ["/bin/sh", "-c", _WATCH.format(pipe=pipe, group=os.getpid())],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, nothing.fileno(), number) for number in range(3)],
        )


def marked(entry: str) -> list[int]:
    """Return the processes that have inherited ``NAME=TEXT`` in their environment: /proc tells, where there is one."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if entry.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended: with the guard dead already, nobody would end what is left.

    A thread other than the main one is not disturbed in any case.
    """
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: came.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(signal.SIGINT, came[-1])


def kill_marked(entry: str) -> None:
    """Kill what has inherited ``entry``, and wait until the last of it is gone, for a second at most."""
    for _ in range(_TRIES):
        left = marked(entry)
        for number in left:
            kill(number)
        if not left:
            break
        time.sleep(0.01)


_TRIES = 100


def kill(process: int, *, group: bool = False) -> None:
    """Kill a process, or a whole group by its leader; one that has ended, or is not ours, is left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        (os.killpg if group else os.kill)(process, signal.SIGKILL)


def end_with(parent: int, pipe: int | None = None) -> None:
    """End this process at once when ``parent``, which has started it, has ended; ``pipe`` is the parent's lifeline.

    Called first thing in a child. Without a pipe it is the kernel alone that sees to it, where it can.
    """
    _tell_the_kernel()
    if os.getppid() != parent:  # too late to be told
        os.kill(os.getpid(), signal.SIGKILL)
    if pipe is not None:
        threading.Thread(target=_wait_for_the_end, args=(pipe,), daemon=True).start()


def _wait_for_the_end(pipe: int) -> None:
    with contextlib.suppress(OSError):
        os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _tell_the_kernel() -> None:
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(Exception):  # another libc: the pipe does it alone
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


_PR_SET_PDEATHSIG = 1
