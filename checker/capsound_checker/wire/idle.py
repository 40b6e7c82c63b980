"""Whether a program has nothing left to do but wait: seen in /proc, never guessed from how long it is quiet.

A thread that runs, or would run if there were a free processor, is in state R or D; how often and how long it has run
is counted by the kernel in nanoseconds. When no thread of the whole tree of processes is in such a state, and none
has run between two looks, between which our own server had nothing to read either, nobody can do anything but wait.
The timers of those who sleep are read between two equal looks as well: who woke up meanwhile is not asleep any more.
How busy the machine is makes that later, and never wrong. What is outside the tree (a database, a remote host) cannot
be seen: for that, a program can be given some time of quiet beside it.

A kernel that keeps no such count (CONFIG_SCHED_INFO) still counts how often each thread has given up the processor,
which says the same: whoever has run since has given it up once more. A process that waits for its child to start
another program (vfork) is in state D, and a thread of io_uring that polls is in state R: both count as running.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PAGE = 4096
PROC = "/proc"
"""Where the system shows its processes."""


def visible() -> bool:
    """Whether the system shows what is needed (Linux does)."""
    me = Path(PROC, "self", "task", str(os.getpid()))
    return (me / "stat").exists() and (me / "children").exists()


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment."""

    busy: bool
    """Whether some thread ran or would have run."""
    ran: tuple[tuple[int, bytes], ...]
    """Each thread with how long it has run and how often, or how often it has given up the processor."""
    processes: tuple[int, ...]

    def same(self, other: Look) -> bool:
        """Whether nobody has run in between."""
        return not self.busy and not other.busy and self.ran == other.ran


def look(roots: Iterable[int]) -> Look:
    """Look at some processes and at everything that they have started."""
    busy = False
    ran: list[tuple[int, bytes]] = []
    pids = tree(roots)
    for pid in pids:
        for thread in _threads(pid):
            base = f"{PROC}/{pid}/task/{thread}/"
            try:
                state = read(base + "stat").rpartition(b")")[2][1:2]
                spent = _spent(base)
            except OSError:  # it ended meanwhile: somebody did that
                busy = True
                continue
            if state in b"ZX":
                continue
            busy = busy or state in b"RD"
            ran.append((int(thread), spent))
    return Look(busy, tuple(sorted(ran)), pids)


def _spent(base: str) -> bytes:
    """Return what grows whenever a thread runs. Raises ``OSError`` where it has ended."""
    with suppress(FileNotFoundError):
        return read(base + "schedstat")
    return b"".join(line for line in read(base + "status").splitlines() if b"ctxt_switches" in line)


def read(path: str) -> bytes:
    """Return what a file of the system says: this is done some thousand times a second."""
    file = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(file, _PAGE):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


def tree(roots: Iterable[int], without: Callable[[int], bool] = lambda _: False) -> tuple[int, ...]:
    """Return processes and all their descendants that live, in ascending order; ``without`` some of them."""
    found: set[int] = set()
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid in found:
            continue
        threads = _threads(pid)
        if not threads:
            continue
        found.add(pid)
        for thread in threads:
            with suppress(OSError):
                todo += map(int, read(f"{PROC}/{pid}/task/{thread}/children").split())
    return tuple(sorted(pid for pid in found if not without(pid)))


def everybody() -> tuple[int, ...]:
    """Return all processes of this system."""
    return tuple(int(name) for name in os.listdir(PROC) if name.isdigit())


def children() -> tuple[int, ...]:
    """Return the processes that this one has started, or that were handed to it."""
    found: list[int] = []
    for thread in _threads(os.getpid()):
        with suppress(OSError):
            found += map(int, read(f"{PROC}/self/task/{thread}/children").split())
    return tuple(found)


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"{PROC}/{pid}/task")
    except OSError:
        return []
