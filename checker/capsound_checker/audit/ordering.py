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
from typing import Any, ClassVar

from capsound_checker.audit.rules import Timed
from capsound_checker.audit.times import moment
from capsound_checker.audit.values import shown

Moment = int | Decimal

Turn = tuple[int, Moment | None, dict[str, Any]]
"""An event whose turn it is: the line of its record, and when it happened, where that is told."""


@dataclass(slots=True)
class Waiting:
    """Events that wait for their turn; ``window`` is in the unit of their times, ``warn`` is told what is odd."""

    SET_UP: ClassVar[frozenset[str]] = frozenset({"window", "warn"})

    window: int
    warn: Callable[[str, str], None]
    _heap: list[tuple[Moment, Moment, int, int, Moment | None, dict[str, Any]]] = field(default_factory=list)
    _count: int = 0
    _latest: Moment | None = None
    _done: Moment | None = None

    def add(self, line: int, events: tuple[Timed, ...]) -> None:
        """Let the events of one record wait. They keep their own order, whatever their times say."""
        began: Moment | None = None
        last: Moment | None = None
        for at, event in events:
            when = told = moment(at)
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
            heapq.heappush(self._heap, (when, began, self._count, line, told, event))

    def ready(self) -> Iterator[Turn]:
        """Yield the events that nothing can come before any more."""
        while self._heap and self._latest is not None and self._heap[0][0] <= self._latest - self.window:
            self._done, _, _, line, told, event = heapq.heappop(self._heap)
            yield line, told, event

    def rest(self) -> Iterator[Turn]:
        """Yield all that still waits."""
        while self._heap:
            _, _, _, line, told, event = heapq.heappop(self._heap)
            yield line, told, event
