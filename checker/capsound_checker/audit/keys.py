"""Records that tell one bill: those of one key, of which the mapping says which one counts.

Programs write a line for each piece of an answer, each with the usage so far; interfaces serve a row twice. Records
wait until so many others have come; then the one of their key that counts takes the place of the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from capsound_checker.audit.rules import Key, Made

REMEMBERED = 100_000
"""How many keys are remembered after their bill was taken."""

Numbered = tuple[int, Made]
"""A record with its line."""


@dataclass(slots=True)
class Merged:
    """A record that was left out since another one of its key counts."""

    line: int
    made: Made
    differs: bool
    """Whether it says another amount than the one that counts, where it should not."""
    late: bool = False
    """Whether the bill of its key was taken before."""


@dataclass(slots=True)
class _Turn:
    line: int
    made: Made | None
    number: int


@dataclass(slots=True)
class ByKey:
    """The records that wait, in the order in which the first of each key came."""

    SET_UP: ClassVar[frozenset[str]] = frozenset({"key"})

    key: Key
    waiting: dict[str, _Turn] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    """The keys whose bill was taken, with how much it was."""
    count: int = 0

    def add(self, line: int, made: Made) -> Iterator[Numbered | Merged]:
        """Take the next record; yield those whose turn it is, and what was left out."""
        self.count += 1
        key = made.key or f"\0{self.count}"
        if made.key in self.taken:
            yield Merged(line, made, _low(made) != self.taken[made.key], late=True)
        elif (known := self.waiting.get(key)) is None:
            self.waiting[key] = _Turn(line, made, self.count)
        else:
            yield self._merged(known, line, made)
        while self.waiting:
            first = next(iter(self.waiting))
            if self.waiting[first].number > self.count - self.key.within:
                break
            yield self._take(first)

    def rest(self) -> Iterator[Numbered]:
        """Yield all that still wait."""
        while self.waiting:
            yield self._take(next(iter(self.waiting)))

    def _take(self, key: str) -> Numbered:
        turn = self.waiting.pop(key)
        assert turn.made is not None
        if turn.made.key:
            if len(self.taken) >= REMEMBERED:
                self.taken.pop(next(iter(self.taken)))
            self.taken[key] = _low(turn.made)
        return turn.line, turn.made

    def _merged(self, known: _Turn, line: int, made: Made) -> Merged:
        """Keep the one that counts, and return the other."""
        assert known.made is not None
        before, now = _low(known.made), _low(made)
        keep = self.key.keep
        if keep == "last" or (keep == "largest" and now > before):
            left = Merged(known.line, known.made, False)
            known.line, known.made = line, made
            return left
        return Merged(line, made, keep == "equal" and now != before)


def _low(made: Made) -> int:
    """Return what a record says that was used at least."""
    if made.bill is not None:
        return made.amount
    told = [e for _, e in made.events if e["event"] in ("bill", "settle", "record")]
    return max((e["amount"] for e in told if isinstance(e.get("amount"), int)), default=0)
