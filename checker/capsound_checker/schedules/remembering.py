"""What the monitor makes of runs that begin alike is worked out once."""

from __future__ import annotations

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
            monitor = self.node.monitor.fork()
            findings = monitor.feed(event)
            node = following[event] = _Node(monitor, findings)
            self.memory.size += 1
        self.node = node
        self.state = node.monitor.state
        return node.findings

    def report(self) -> Report:
        """Return what the monitor says of the run so far."""
        return self.node.monitor.report()

    def fingerprint(self) -> tuple[object, ...]:
        """Return what ``Monitor.fingerprint`` does."""
        return self.node.monitor.fingerprint()


_MEMORY = 50_000
