"""Who holds a connection, and who is connected to other hosts: read from /proc."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, TypeVar

from capsound_checker.wire import idle

Told = TypeVar("Told")


class Connection(NamedTuple):
    """One end of a connection, as the system lists it; addresses are as in /proc."""

    here: str
    there: str
    state: str
    file: str
    """What a process that holds it has among its open files."""


def owners(ports: Iterable[int], processes: Iterable[int]) -> dict[int, int]:
    """Return which of the processes holds the end of a connection on each port, where it can be seen."""
    wanted = set(ports)
    found = {one.file: port for one in _connections() if (port := _port(one.here)) in wanted}
    holders: dict[int, int] = {}
    for pid, port in _held(found, processes):
        holders.setdefault(port, pid)
    return holders


def outside(processes: Iterable[int]) -> tuple[str, ...]:
    """Return the addresses beyond this machine to which processes have a connection, or are making one."""
    remote: dict[str, str] = {}
    for one in _connections():
        there = _address(one.there)
        if one.state in _OPEN and not there.is_loopback and there != _address(one.here):
            remote[one.file] = f"{there}:{_port(one.there)}"
    return tuple(sorted({address for _, address in _held(remote, processes)}))


_OPEN = frozenset({"01", "02"})  # established, and the first packet sent


def _connections() -> Iterator[Connection]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"{idle.PROC}/net/{table}", encoding="ascii") as file:
            next(file)
            for line in file:
                fields = line.split()
                yield Connection(fields[1], fields[2], fields[3], f"socket:[{fields[9]}]")


def _held(files: Mapping[str, Told], processes: Iterable[int]) -> Iterator[tuple[int, Told]]:
    """Yield the processes that hold one of the open files, with what is known of it."""
    for pid in processes if files else ():
        with suppress(OSError):
            for name in os.listdir(f"{idle.PROC}/{pid}/fd"):
                with suppress(OSError):
                    told = files.get(os.readlink(f"{idle.PROC}/{pid}/fd/{name}"))
                    if told is not None:
                        yield pid, told


def _port(text: str) -> int:
    return int(text.rpartition(":")[2], 16)


def _address(text: str) -> IPv4Address | IPv6Address:
    """Return an address as /proc/net writes them: words of four bytes, each in the machine's own order."""
    address = text.partition(":")[0]
    words = [int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8)]
    whole = ip_address(b"".join(words))
    return (whole.ipv4_mapped if isinstance(whole, IPv6Address) else None) or whole
