"""Balances of which only the bounds are known: the rules of ``sequential`` run on them as on numbers.

Where a rule asks for what a range leaves open, the range is cut in two and the rule is asked again, once for each part.
This loses nothing: what is available, held and spent when a window begins is independent, and a rule compares one of
them with a number at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

from capsound_checker.histories.sequential import Op, Spec, State


class Undecided(Exception):
    """A rule has asked for what a range leaves open."""

    def __init__(self, asked: Range, at: float) -> None:
        self.asked, self.at = asked, at


class Range:
    """A whole number of which only the bounds are known; both belong to it.

    ``root`` and ``shift`` say of which range of the state it is a sum: the answer to a question narrows that one.
    """

    __slots__ = ("high", "low", "root", "shift")

    def __init__(
        self, low: float = -math.inf, high: float = math.inf, root: Range | None = None, shift: int = 0
    ) -> None:
        self.low, self.high, self.root, self.shift = low, high, root or self, shift

    def __add__(self, other: int | Range) -> Range:
        if isinstance(other, Range):  # what a closed account gives back; neither is asked for again
            return Range(self.low + other.low, self.high + other.high)
        return Range(self.low + other, self.high + other, self.root, self.shift + other)

    __radd__ = __add__

    def __sub__(self, other: int) -> Range:
        return self + -other

    def _below(self, number: float) -> bool:
        if self.high < number:
            return True
        if self.low >= number:
            return False
        raise Undecided(self.root, number - self.shift)

    def __lt__(self, other: int) -> bool:
        return self._below(other)

    def __le__(self, other: int) -> bool:
        return self._below(other + 1)

    def __gt__(self, other: int) -> bool:
        return not self._below(other + 1)

    def __ge__(self, other: int) -> bool:
        return not self._below(other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Range) and (self.low, self.high) == (other.low, other.high)

    def __hash__(self) -> int:
        return hash((self.low, self.high))

    def __repr__(self) -> str:
        return f"{self.low}..{self.high}"


def after(op: Op, state: State, spec: Spec) -> Iterator[State]:
    """Yield the states after an operation, one for each way in which what is open can be; ``state`` if none is new."""
    left = [state]
    while left:
        now = left.pop()
        try:
            then = op.rule(op, now, spec)
        except Undecided as question:
            low, high = question.asked.low, question.asked.high
            left.append(_replaced(now, question.asked, Range(question.at, high)))
            left.append(_replaced(now, question.asked, Range(low, question.at - 1)))
            continue
        if then is not None:
            yield then if then is now else _rooted(then, now)


def _replaced(state: State, old: Range, new: Range) -> State:
    """Return a state with one range in the place of another."""
    out = dict(state)
    for key, value in state.items():
        parts: tuple[object, ...] = value or ()
        if any(part is old for part in parts):
            out[key] = cast("tuple[int, ...]", tuple(new if part is old else part for part in parts))
            break
    return out


def _rooted(then: State, now: State) -> State:
    """Make sums in a new state ranges of their own, which the next rule may narrow."""
    for key, value in then.items():
        if value is not None and key % 2 == 0 and value is not now.get(key):
            then[key] = tuple(Range(p.low, p.high) if isinstance(p, Range) and p.root is not p else p for p in value)  # type: ignore[misc,unused-ignore]
    return then
