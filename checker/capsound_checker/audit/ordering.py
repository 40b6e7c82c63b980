"""Events in the order of their times, as far as the window of a mapping reaches.

Records of calls are written when a call ends, and their first events happened long before: they wait until no record
can come that is older. At one time what began earlier comes first, so that a call which ends when the next one begins
does not overlap with it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from capsound_checker.audit.rules import Timed
from capsound_checker.audit.times import moment
from capsound_checker.audit.values import shown

Moment = int | Decimal


@dataclass(slots=True)
class Waiting:
    """Events that wait for their turn; ``window`` is in the unit of their times, ``warn`` is told what is odd."""

    window: int
    warn: Callable[[str, str], None]
    _heap: list[tuple[Moment, Moment, int, int, dict[str, Any]]] = field(default_factory=list)
    _count: int = 0
    _latest: Moment | None = None
    _done: Moment | None = None

    def add(self, line: int, events: tuple[Timed, ...]) -> None:
        """Let the events of one record wait. They keep their own order, whatever their times say."""
        began: Moment | None = None
        last: Moment | None = None
        for at, event in events:
            when = moment(at)
            if when is None:
                self.warn("no-time", shown(at))
                when = last if last is not None else self._latest if self._latest is not None else 0
            if last is not None and when < last:
                self.warn("backwards", f"{shown(at)} is before {last}")
                when = last
            last = when
            began = when if began is None else began
            self._latest = when if self._latest is None else max(self._latest, when)
            if self._done is not None and when < self._done:
                self.warn("late", "")
            self._count += 1
            heapq.heappush(self._heap, (when, began, self._count, line, event))

    def ready(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events that nothing can come before any more, each with the line of its record."""
        while self._heap and self._latest is not None and self._heap[0][0] <= self._latest - self.window:
            self._done, _, _, line, event = heapq.heappop(self._heap)
            yield line, event

    def rest(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield all that still waits."""
        while self._heap:
            _, _, _, line, event = heapq.heappop(self._heap)
            yield line, event
