"""What two threads race for: the operations, the account on which they meet, and how a race is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsound.adapter import Adapter
from capsound_checker.programs.program import Program, Step, call, possible


@dataclass(frozen=True, slots=True)
class Race:
    """One schedule of two operations that no order one after the other explains."""

    before: tuple[Step, ...]
    first: Step
    second: Step
    at: int
    where: str
    anomaly: str
    sentence: str
    handler: bool = False
    """Whether the second operation is done by a signal handler, and not by another thread."""

    def story(self) -> str:
        """Return the race in words."""
        how = "in a signal handler" if self.handler else "in another thread"
        lines = [f"[{n}] {call(step)}" for n, step in enumerate(self.before, start=1)]
        lines.append(f"[{len(lines) + 1}] {call(self.first)}, stopped at {self.where}")
        lines.append(f"[{len(lines) + 1}] {call(self.second)} {how}, meanwhile")
        return "\n".join([*lines, f"   ** {self.anomaly}: {self.sentence}"])


BEFORE: tuple[Step, ...] = (
    Step("open", new=0, amount=6),
    Step("delegate", on=0, new=1, amount=2),
    Step("reserve", on=0, new=0, amount=2),
    Step("send", on=0, bill=1),
    Step("reserve", on=0, new=1, amount=1),
)
"""A root of 6 with a slice of 2, a sent hold of 2 billed 1, a hold of 1, and room for exactly one more."""

OPERATIONS: tuple[Step, ...] = (
    Step("reserve", on=0, new=7, amount=1),
    Step("settle", on=0),
    Step("release", on=1),
    Step("forfeit", on=0),
    Step("extend", on=0, amount=1),
    Step("delegate", on=0, new=7, amount=1),
    Step("close", on=1),
    Step("merge", on=0, new=1),
    Step("reserve", on=0, new=7, amount=2),
    Step("reserve", on=1, new=7, amount=2),
    Step("send", on=1, bill=0),
)


def pairs(adapter: type[Adapter]) -> Iterator[tuple[Program, Step, Step]]:
    """Yield every pair of operations that the adapter offers, an operation with itself included."""
    can = possible(adapter)
    before = [step for step in BEFORE if step.do in can]
    chosen = [
        step for step in OPERATIONS if step.do in can and (step.on != 1 or _about_hold(step) or "delegate" in can)
    ]
    for one in chosen:
        for two in chosen:
            yield before, one, two._replace(new=8) if two.do in ("reserve", "delegate") else two


def _about_hold(step: Step) -> bool:
    return step.do in ("settle", "release", "forfeit", "extend", "send")
