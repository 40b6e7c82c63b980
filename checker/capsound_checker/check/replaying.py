"""``capsound replay`` on a target: the run of a token once more, in a process of its own, judged again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from capsound.verdict import Verdict
from capsound_checker.check.children import run_child
from capsound_checker.check.gathering import Gathered, judged
from capsound_checker.check.plan import Plan
from capsound_checker.check.results import Shown
from capsound_checker.check.tokens import (
    ASYNC_PREFIX,
    RACE_PREFIX,
    parse_async_token,
    parse_dimension,
    parse_race_token,
    parse_token,
)
from capsound_checker.display.printing import printable


def replay(
    plan: Plan, request: Mapping[str, Any], stop: threading.Event | None = None
) -> tuple[list[Shown], Mapping[str, Any] | None, list[str]]:
    """Run a program again; return what is wrong in it, the run, and what stood in the way.

    With ``stop`` an interrupt (Ctrl-C) sets it and ends the run, and what is known is returned; without, it is raised.
    Set by another thread, it ends the run as well.
    """
    gathered, runs = Gathered(), []

    def hear(message: dict[str, Any]) -> None:
        if message["say"] == "run":
            runs.append(message)
        else:
            gathered.hear("replay", message)

    steps = len(request.get("program", ()))
    try:
        ended, _ = run_child(plan, request, hear, time.monotonic() + 2 * plan.silence + steps * _STEP, stop)
        if ended.how != "done":
            gathered.doubt(ended.words)
    except KeyboardInterrupt:
        if stop is None:
            raise
        stop.set()
        gathered.doubt("interrupted before it came to its end")
    doubts = [doubt.text for doubt in gathered.doubted]
    if gathered.shown or gathered.schedules:  # of two operations at once
        race = list(gathered.shown.values())
        tried = f"nothing went wrong in {sum(gathered.schedules.values()):,} runs of the two operations at once"
        return race, {"events": [], "story": race[0].story if race else tried}, doubts
    return (judged(runs[0]) if runs else []), (runs[0] if runs else None), doubts


_STEP = 5.0
"""How many seconds more a run gets for each step of its program."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run of a target that was done again, in words and as data."""

    verdict: Verdict
    text: str
    data: dict[str, Any]
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """That of the verdict; 130 where Ctrl-C came before the end."""
        return 130 if self.interrupted else self.verdict.exit_status


def replay_target(plan: Plan, text: str, tell: Callable[[str], None] = lambda _: None) -> Replayed:
    """Replay a token of ``check`` on the target of a plan, and judge what happens."""
    tell(f"loading {printable(plan.target)}")
    stop = threading.Event()
    found, run, doubts = replay(plan, _request(text), stop)
    verdict = Verdict.VIOLATED if found else Verdict.UNKNOWN if doubts or run is None else Verdict.SOUND
    story = [] if run is None else [run["story"]]
    data = {
        "format": "capsound.replay/1",
        "events": run["events"] if run is not None else [],
        "token": text,
        "found": [{"anomaly": s.anomaly, "sentence": s.sentence, "at": s.at} for s in found],
        "doubts": doubts,
        "verdict": verdict.value,
    }
    told = "\n".join([*story, *map(printable, doubts), verdict.value, ""])
    return Replayed(verdict, told, data, interrupted=stop.is_set())


def _request(text: str) -> dict[str, Any]:
    text, seen = parse_dimension(text)
    return {**_program(text), **seen}


def _program(text: str) -> dict[str, Any]:
    if text.startswith(ASYNC_PREFIX):
        return {"job": "replay asyncio", "schedule": parse_async_token(text)}
    if text.startswith(RACE_PREFIX):
        race = parse_race_token(text)
        return {"job": "replay race", "how": race["job"], "place": race["at"], "program": race["program"]}
    return {"job": "replay", "program": parse_token(text)}
