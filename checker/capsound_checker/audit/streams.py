"""Requests whose usage another record tells, once their streams have ended.

Some write two records of one request: one when the stream begins, which knows nothing of what was used, and another
when it has ended, which does not say whose it is. A record of the second kind answers for the latest of the first kind
of the same request that ended before the stream began. Which of several equal requests that is changes no sum: each
record of a stream has one request, and of each request without one, nothing is known.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import ClassVar

from capsound_checker.audit.rules import Made
from capsound_checker.audit.times import Moment, moment

MEMORY = 10_000
"""How many requests wait for their streams."""

Numbered = tuple[int, Made]
"""A record with its line."""


@dataclass(slots=True)
class Streams:
    """The requests that wait for their streams, for as long as ``window`` at most: then nothing is known of them."""

    SET_UP: ClassVar[frozenset[str]] = frozenset({"window"})

    window: Moment | None
    joined: int = 0
    """How many records were one with another."""
    _waiting: dict[int, Numbered] = field(default_factory=dict)
    """By the order in which they came."""
    _same: dict[str, list[int]] = field(default_factory=dict)
    """Those that await the same."""
    _turns: list[tuple[Moment, int]] = field(default_factory=list)
    """A heap of when each began, with those that do not wait any more."""
    _count: int = 0
    _latest: Moment | None = None

    def add(self, line: int, made: Made) -> list[Numbered]:
        """Take the next record; return those that count now."""
        began, ended = (moment(at) for at in made.times)
        known = [at for at in (began, ended, self._latest) if at is not None]
        self._latest = max(known) if known else None
        due = self._due()
        if made.awaits and began is not None and ended is not None:
            self._count += 1
            self._waiting[self._count] = (line, made)
            self._same.setdefault(made.awaits, []).append(self._count)
            heapq.heappush(self._turns, (began, self._count))
            return due
        if made.answers and began is not None:
            made = self._answered(made, began)
        return [*due, (line, made)]

    def rest(self) -> list[Numbered]:
        """Return all that still wait: no stream of them was told."""
        return [self._gone(number) for number in list(self._waiting)]

    def _due(self) -> list[Numbered]:
        """Return those whose turn it is in the order of times, and those for which there is no room."""
        due = []
        while len(self._waiting) > MEMORY:
            due.append(self._gone(next(iter(self._waiting))))
        if self.window is not None and self._latest is not None:
            while self._turns and self._turns[0][0] <= self._latest - self.window:
                _, number = heapq.heappop(self._turns)
                if number in self._waiting:
                    due.append(self._gone(number))
        return due

    def _gone(self, number: int) -> Numbered:
        """Return one that does not wait any more."""
        line, made = self._waiting.pop(number)
        same = self._same[made.awaits]
        same.remove(number)
        if not same:
            del self._same[made.awaits]
        return line, made

    def _answered(self, made: Made, began: Moment) -> Made:
        """Return a record of a stream that begins where its request did, if that one is known."""
        ended = [(moment(self._waiting[one][1].times[1]) or 0, one) for one in self._same.get(made.answers, ())]
        before = [one for one in ended if one[0] <= began]
        if not before:
            return made
        _, request = self._gone(max(before)[1])
        self.joined += 1
        start = request.times[0]
        events = tuple((start if event["event"] in ("reserve", "send") else at, event) for at, event in made.events)
        return replace(made, events=events, times=(start, made.times[1]))
