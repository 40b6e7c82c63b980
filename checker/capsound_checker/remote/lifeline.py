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
from collections.abc import Sequence

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


_GUARD = '(read -r _ </dev/fd/{pipe}; kill -KILL "-$$") </dev/null >/dev/null 2>&1 & exec "$@"'


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
