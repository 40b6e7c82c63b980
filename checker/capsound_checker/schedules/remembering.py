"""What the monitor makes of runs that begin alike is worked out once."""

# ruff: noqa: SLF001  the state of a run is that of the monitor too, and it keeps that to itself

from __future__ import annotations

import copy
from dataclasses import fields

from capsound.accounts import State
from capsound.events import Event
from capsound.monitor import Finding, Monitor, Report


class _Node:
    """What the monitor knows after some events; it is never changed."""

    __slots__ = ("findings", "following", "monitor")

    def __init__(self, monitor: Monitor, findings: tuple[Finding, ...]) -> None:
        self.monitor = monitor
        self.findings = findings
        self.following: dict[Event, _Node] = {}


class Memory:
    """Runs begin alike: what the monitor makes of the same events is worked out once."""

    def __init__(self) -> None:
        self.root = _Node(Monitor(), ())
        self.size = 0

    def begin(self) -> _Node:
        """Return where every run begins; what takes too much room is forgotten."""
        if self.size > _MEMORY:
            self.__init__()  # type: ignore[misc]
        return self.root


class Remembered:
    """A monitor that has heard most of it before."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.node = memory.begin()
        self.state: State = self.node.monitor.state
        """The books of the model."""

    def feed(self, event: Event) -> tuple[Finding, ...]:
        """Do what ``Monitor.feed`` does, or remember what it did."""
        following = self.node.following
        node = following.get(event)
        if node is None:
            monitor = copy.copy(self.node.monitor)
            for name in _FOLDED:
                setattr(monitor, name, copy.copy(getattr(monitor, name)))
            monitor._books = {root: copy.copy(books) for root, books in monitor._books.items()}
            monitor._wrong = {account: dict(wrong) for account, wrong in monitor._wrong.items()}
            findings = monitor.feed(event)
            node = following[event] = _Node(monitor, findings)
            self.memory.size += 1
        self.node = node
        self.state = node.monitor.state
        return node.findings

    def report(self) -> Report:
        """Return what the monitor says of the run so far."""
        return self.node.monitor.report()


_FOLDED = tuple(f.name for f in fields(Monitor) if f.name not in ("state", "steps", "_books", "_wrong"))
_MEMORY = 50_000
