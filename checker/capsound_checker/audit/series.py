"""Spending over time in bounded memory: sums of intervals that grow as a log does.

The intervals are the shortest power of two of nanoseconds (or lines) of which ``POINTS`` are enough for all that was
seen. That follows from what was seen and not from its order, so that the same log gives the same curve.
"""

from __future__ import annotations

from dataclasses import dataclass, field

POINTS = 512
"""How many intervals are kept of each root."""

ROOTS = 200
"""Of how many roots a curve is kept: those that spent first."""


@dataclass(slots=True)
class Curve:
    """What was billed to one root in each interval; an interval is ``2 ** width`` long."""

    width: int = 0
    base: int = 0
    """What was billed before the log told any time."""
    sums: dict[int, int] = field(default_factory=dict)

    def add(self, at: int, amount: int) -> None:
        """Count an amount."""
        place = at >> self.width
        self.sums[place] = self.sums.get(place, 0) + amount
        while len(self.sums) > POINTS:
            self.width += 1
            wider: dict[int, int] = {}
            for one, billed in self.sums.items():
                wider[one >> 1] = wider.get(one >> 1, 0) + billed
            self.sums = wider

    def points(self) -> list[tuple[int, int]]:
        """Return the end of each interval, and all that was billed until then."""
        total, found = self.base, []
        for place in sorted(self.sums):
            total += self.sums[place]
            found.append((((place + 1) << self.width) - 1, total))
        return found


@dataclass(slots=True)
class Curves:
    """The curves of the roots, over time where the log tells times, else over lines.

    A bill without a time counts at the latest time before it.
    """

    by_time: dict[str, Curve] = field(default_factory=dict)
    by_line: dict[str, Curve] = field(default_factory=dict)
    latest: int | None = None
    left_out: int = 0
    """How many bills are of roots that have no curve."""

    def add(self, root: str, at: int | None, line: int, amount: int) -> None:
        """Count an amount that was billed to a root."""
        if root not in self.by_line and len(self.by_line) >= ROOTS:
            self.left_out += 1
            return
        self.latest = at if at is not None else self.latest
        self.by_line.setdefault(root, Curve()).add(line, amount)
        curve = self.by_time.setdefault(root, Curve())
        if self.latest is None:
            curve.base += amount
        else:
            curve.add(self.latest, amount)

    @property
    def timed(self) -> bool:
        """Whether the log tells times."""
        return self.latest is not None

    def points(self, root: str) -> list[tuple[int, int]]:
        """Return the curve of a root."""
        curve = (self.by_time if self.timed else self.by_line).get(root)
        return [] if curve is None else curve.points()
