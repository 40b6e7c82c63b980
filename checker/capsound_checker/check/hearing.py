"""What children say, heard out in any order and judged in that of their jobs: who was faster does not show."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capsound.guarantees import Guarantee
from capsound_checker.check.children import evidence, run_child
from capsound_checker.check.gathering import Gathered
from capsound_checker.check.plan import GUARANTEE_OF_JOB, Plan
from capsound_checker.remote.nursery import Nursery


@dataclass(frozen=True, slots=True)
class Hands:
    """Who does the work: how many at once, what the adapter declares, and a job driven within so many seconds."""

    count: int
    describe: Callable[[], dict[str, Any]]
    drive: Callable[[Heard, float], None]


class Ending(threading.Event):
    """Set when a check ends. It is also set as soon as another event is, which ends more than this check."""

    def __init__(self, outer: threading.Event | None = None) -> None:
        super().__init__()
        self._outer = outer

    def is_set(self) -> bool:
        """Whether one of both is set."""
        return super().is_set() or (self._outer is not None and self._outer.is_set())


@dataclass
class Heard:
    """What one child has said, in the order in which it did; it is judged when all before it have been."""

    job: Mapping[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)
    doubt: str = ""
    at: Guarantee = Guarantee.STOPS
    """The weakest guarantee that might be refuted but for the doubt."""
    note: str = ""
    hangs: bool = False
    """Whether every further child would hang as well."""


def merge(heard: Sequence[Heard], gathered: Gathered) -> None:
    """Judge what the children have said, in the order of their jobs: who was faster does not show."""
    hangs = False
    tried: set[str] = set()
    for one in heard:
        name = str(one.job["job"])
        if hangs:
            if name not in tried:  # a job of several parts was begun, and it is said that it stopped
                gathered.note(f"it hangs: {name} was not tried")
            continue
        tried.add(name)
        for message in one.messages:
            also = {key: one.job[key] for key in ("elsewhere", "dimension", "passing") if one.job.get(key)}
            gathered.hear(name, {**message, **also})
        if one.note:
            gathered.note(one.note)
        if one.doubt:
            gathered.doubt(one.doubt, one.at)
        hangs = one.hangs


def give(one: Heard, share: float, *, hands: Hands, heard: Sequence[Heard], end: float) -> None:
    """Have a job done, with its share of the time that is left until ``end``; none is begun after one that hangs."""
    left = min(1.0, share * hands.count) * (end - time.monotonic())
    name = str(one.job["job"])
    if left <= 0:
        told = f"time ran out before {name} was tried"
        if name in GUARANTEE_OF_JOB:
            one.doubt, one.at = told, GUARANTEE_OF_JOB[name]
        else:
            one.note = told
    elif not any(other.hangs for other in heard[: heard.index(one)]):
        hands.drive(one, left)


_HUNTING = 0.7
"""The part of its time in which a child hunts; the rest is for shrinking."""


def drive(
    plan: Plan,
    one: Heard,
    seconds: float,
    *,
    progress: Callable[[str], None],
    stop: threading.Event,
    forking: Nursery | None,
) -> None:
    """Have a child do a job within so many seconds, and write down what it says."""
    name = str(one.job["job"])
    noticed: set[str] = set()

    def hear(message: dict[str, Any]) -> None:
        if message["say"] == "beat":
            progress(f"{name}: {message['where']}, {len(noticed)} anomalies")
            return
        if message["say"] == "noticed":
            noticed.add(message["name"])
            one.hangs = one.hangs or message["name"] == "hang"
        one.messages.append(message)

    # The child is asked to be done in time, and has as long again to shrink what it found.
    request = {**one.job, "seconds": seconds * _HUNTING}
    ended, where = run_child(plan, request, hear, time.monotonic() + 2 * seconds + plan.silence, stop, forking)
    one.hangs = one.hangs or ended.how in ("silent", "unloaded")
    if ended.how not in ("done", "stopped"):
        one.doubt = evidence(plan, ended, where, name, forking)
