"""What surrounds an application inside: virtual clocks, the same chance in every run, no network, no forks.

All of it is put in place in a process that exists for one check, and is never taken back.
"""

from __future__ import annotations

import functools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

EPOCH = 1_800_000_000
"""What ``time.time`` says when an application begins, in seconds: the same in every run."""


class NotServed(OSError):
    """The application wanted to reach something that does not exist inside."""


def surround(now: Callable[[], float], sleep: Callable[[float], None], unserved: Callable[[str], None]) -> None:
    """Put everything in place. ``now`` is virtual time; ``unserved`` hears what cannot be given, in words."""
    _clocks(now, sleep)
    _certificates()
    _network(unserved)
    _processes(unserved)


def _clocks(now: Callable[[], float], sleep: Callable[[float], None]) -> None:
    def seconds() -> float:
        return now()

    def nanoseconds() -> int:
        return round(now() * 1e9)

    replaced: dict[str, Callable[..., Any]] = {
        "time": lambda: EPOCH + now(),
        "time_ns": lambda: EPOCH * 10**9 + nanoseconds(),
        "monotonic": seconds,
        "monotonic_ns": nanoseconds,
        "perf_counter": seconds,
        "perf_counter_ns": nanoseconds,
        "sleep": sleep,
    }
    for name, function in replaced.items():
        setattr(time, name, function)


def _certificates() -> None:
    """Read the certificates once: nothing is ever encrypted, and each client would read them anew."""
    setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))  # noqa: B010


def _network(unserved: Callable[[str], None]) -> None:
    def connect(_: socket.socket, address: object) -> NoReturn:
        unserved(f"it opens a connection to {_where(address)} by itself: a client that is none of {SERVED}")
        raise NotServed(f"capsound: no connection can be opened inside, to {_where(address)}")

    def resolve(host: object, *_: Any, **__: Any) -> NoReturn:
        unserved(f"it looks up {host!r}: a client that is none of {SERVED}")
        raise socket.gaierror(socket.EAI_NONAME, "capsound: no name can be looked up inside")

    setattr(socket.socket, "connect", connect)  # noqa: B010
    setattr(socket.socket, "connect_ex", connect)  # noqa: B010
    setattr(socket, "getaddrinfo", resolve)  # noqa: B010


SERVED = "httpx.AsyncClient and httpx2.AsyncClient"
"""The clients whose requests reach the explorer."""


def _where(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    return str(address)


def _processes(unserved: Callable[[str], None]) -> None:
    def fork() -> NoReturn:
        unserved("it forks")
        raise NotServed("capsound: a process cannot be forked inside")

    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        unserved(f"it starts a thread, {_target(thread)}: what a thread does at which moment is not chosen")
        begin(thread)

    setattr(os, "fork", fork)  # noqa: B010
    setattr(threading.Thread, "start", start)  # noqa: B010


def _target(thread: threading.Thread) -> str:
    kind = type(thread)
    return thread.name if kind is threading.Thread else kind.__qualname__
