"""What the monitor makes of runs that begin alike is worked out once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from capsound.accounts import State
from capsound.adapter import Adapter
from capsound.events import Event, Open
from capsound.monitor import Finding, Monitor, Report
from capsound_checker.programs.record import Record


class _Node:
    """What the monitor knows after some events; it is never changed."""

    __slots__ = ("event", "excused", "findings", "following", "monitor", "said", "state")

    def __init__(self, monitor: Monitor, event: Event, findings: tuple[Finding, ...]) -> None:
        self.monitor = monitor
        self.state = monitor.state
        self.event = event
        """The last of the events."""
        self.findings = findings
        """What the monitor found in it."""
        self.excused: set[int] | None = None
        """Which of that bills above their holds may explain, by identity; None where nobody has looked yet."""
        self.following: dict[Event, _Node] = {}
        self.said: dict[tuple[Any, ...], _Node] = {}
        """The same nodes, by the kind and the fields of their events: an event that is known need not be made."""


class Memory:
    """Runs begin alike: what the monitor makes of the same events is worked out once."""

    def __init__(self) -> None:
        self.root = _Node(Monitor(), _NOTHING, ())
        self.size = 0

    def begin(self) -> _Node:
        """Return where every run begins; what takes too much room is forgotten."""
        if self.size > _MEMORY:
            self.__init__()  # type: ignore[misc]
        return self.root


_NOTHING = cast("Event", Open)
"""What stands for the event before the first."""


class Remembered:
    """A monitor that has heard most of it before."""

    __slots__ = ("memory", "node", "state")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.node = memory.begin()
        self.state: State = self.node.state
        """The books of the model."""

    def feed(self, event: Event) -> tuple[Finding, ...]:
        """Do what ``Monitor.feed`` does, or remember what it did."""
        following = self.node.following
        node = following.get(event)
        if node is None:
            monitor = self.node.monitor.fork()
            findings = monitor.feed(event)
            node = following[event] = _Node(monitor, event, findings)
            self.memory.size += 1
        self.node = node
        self.state = node.state
        return node.findings

    def report(self) -> Report:
        """Return what the monitor says of the run so far."""
        return self.node.monitor.report()

    def fingerprint(self) -> tuple[object, ...]:
        """Return what ``Monitor.fingerprint`` does."""
        return self.node.monitor.fingerprint()


class RememberedRecord(Record):
    """The books of a run whose monitor has heard most of it before."""

    def __init__(self, adapter: Adapter, memory: Memory) -> None:
        self._heard = Remembered(memory)
        super().__init__(adapter, cast("Monitor", self._heard))

    def say(self, *event: Any) -> None:
        """Tell of an event; one that was heard at this place before is not made again."""
        heard = self._heard
        said = heard.node.said
        node = said.get(event)
        if node is None or self.timing is not None:
            self.tell(event[0](*event[1:]))
            said[event] = heard.node
            return
        heard.node = node
        heard.state = node.state
        self.events.append(node.event)
        if node.findings:
            self.keep(node.findings)

    def keep(self, found: Iterable[Finding]) -> None:
        """Keep what the monitor found in the last event; what explains it was worked out when it was found first."""
        node = self._heard.node
        if node.excused is None or found is not node.findings:
            super().keep(found)
            if found is node.findings:
                node.excused = self._excused.intersection(map(id, node.findings))
            return
        self.findings += node.findings
        self._excused |= node.excused


_MEMORY = 50_000
