"""When a program that waits will wake up by itself: read from the system calls in which its threads wait.

A program that waits for an answer with no time limit, or with one of ten minutes, does nothing more until it gets the
answer. One that sleeps, or backs off before it tries again, will. Linux shows the call of each waiting thread and its
arguments to whoever has started it.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from collections.abc import Iterable

_X86 = {
    232: ("ms", 3),  # epoll_wait
    281: ("ms", 3),  # epoll_pwait
    441: ("span", 3),  # epoll_pwait2
    7: ("ms", 2),  # poll
    271: ("span", 2),  # ppoll
    23: ("micro", 4),  # select
    270: ("span", 4),  # pselect6
    35: ("span", 0),  # nanosleep
    230: ("clock", 0),  # clock_nanosleep
    202: ("futex", 0),
}
_ARM = {
    22: ("ms", 3),  # epoll_pwait
    441: ("span", 3),
    73: ("span", 2),  # ppoll
    72: ("span", 4),  # pselect6
    101: ("span", 0),
    115: ("clock", 0),
    98: ("futex", 0),
}
_FOR_EVER = {
    "x86_64": frozenset({0, 1, 20, 43, 44, 45, 46, 47, 61, 88, 247, 288, 34, 130, 128}),
    "aarch64": frozenset({63, 64, 65, 95, 202, 203, 206, 207, 211, 212, 242, 260, 133}),
}
"""Calls that wait without a limit: read, write, accept, recv, send, wait."""

_CALLS = {"x86_64": _X86, "aarch64": _ARM}
_BITSET, _CLOCK_REALTIME, _COMMAND = 9, 256, 127
_ABSOLUTE = 1

SOON = 0.0
"""What is returned where it cannot be seen: it may wake up at any moment."""


def wakes_in(processes: Iterable[int]) -> float:
    """Return in how many seconds the first thread will wake up by itself, at the latest; infinity where none will.

    A thread of which that cannot be seen counts as one that will do so at once.
    """
    machine = platform.machine()
    if machine not in _CALLS:
        return SOON
    first = float("inf")
    for pid in processes:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            first = min(first, _wakes(machine, pid, thread))
    return first


def _wakes(machine: str, pid: int, thread: str) -> float:
    try:
        with open(f"/proc/{pid}/task/{thread}/syscall", encoding="ascii") as file:
            fields = file.read().split()
        if len(fields) < 7:
            return SOON
        number, arguments = int(fields[0]), [int(field, 16) for field in fields[1:7]]
        if number in _FOR_EVER[machine]:
            return float("inf")
        how, at = _CALLS[machine].get(number, ("unknown", 0))
        return _left(how, arguments, at, pid)
    except (OSError, ValueError, struct.error):
        return SOON


def _left(how: str, arguments: list[int], at: int, pid: int) -> float:
    value = arguments[at]
    match how:
        case "ms":
            milliseconds = value & 0xFFFFFFFF  # as a signed number of 32 bits: -1 is for ever
            return float("inf") if milliseconds >= 1 << 31 else milliseconds / 1_000
        case "span":
            return float("inf") if value == 0 else _span(pid, value)
        case "micro":
            return float("inf") if value == 0 else _span(pid, value, 1e-6)
        case "clock":
            span = _span(pid, arguments[2])
            if not arguments[1] & _ABSOLUTE:
                return span
            return max(0.0, span - time.clock_gettime(arguments[0]))
        case "futex":
            if arguments[3] == 0:
                return float("inf")
            span = _span(pid, arguments[3])
            if arguments[1] & _COMMAND != _BITSET:
                return span
            clock = time.CLOCK_REALTIME if arguments[1] & _CLOCK_REALTIME else time.CLOCK_MONOTONIC
            return max(0.0, span - time.clock_gettime(clock))
        case _:
            return SOON


def _span(pid: int, address: int, part: float = 1e-9) -> float:
    """Read a time of two numbers out of the memory of a process."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        seconds, rest = struct.unpack("<qq", memory.read(16))
    span: float = seconds + rest * part
    return span
