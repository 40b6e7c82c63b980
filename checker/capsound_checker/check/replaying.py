"""``capsound replay`` on a target: the run of a token once more, in a process of its own, judged again."""

from __future__ import annotations

import time
from collections.abc import Mapping
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
    parse_race_token,
    parse_token,
)
from capsound_checker.display.printing import printable


def replay(plan: Plan, request: Mapping[str, Any]) -> tuple[list[Shown], Mapping[str, Any] | None, list[str]]:
    """Run a program again; return what is wrong in it, the run, and what stood in the way."""
    gathered, runs = Gathered(), []

    def hear(message: dict[str, Any]) -> None:
        if message["say"] == "run":
            runs.append(message)
        else:
            gathered.hear("replay", message)

    ended, _ = run_child(plan, request, hear, time.monotonic() + 2 * plan.silence)
    if ended.how != "done":
        gathered.doubt(ended.words)
    doubts = [doubt.text for doubt in gathered.doubted]
    if gathered.shown or gathered.schedules:  # of two operations at once
        race = list(gathered.shown.values())
        tried = f"nothing went wrong in {sum(gathered.schedules.values()):,} runs of the two operations at once"
        return race, {"events": [], "story": race[0].story if race else tried}, doubts
    return (judged(runs[0]) if runs else []), (runs[0] if runs else None), doubts


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run of a target that was done again, in words and as data."""

    verdict: Verdict
    text: str
    data: dict[str, Any]


def replay_target(target: str, text: str, *, python: str) -> Replayed:
    """Replay a token of ``check`` on its target, and judge what happens."""
    found, run, doubts = replay(Plan(target, python=python), _request(text))
    verdict = Verdict.VIOLATED if found else Verdict.UNKNOWN if doubts or run is None else Verdict.SOUND
    story = [] if run is None else [run["story"]]
    data = {
        "format": "capsound.replay/1",
        "events": run["events"] if run is not None else [],
        "found": [{"anomaly": s.anomaly, "sentence": s.sentence} for s in found],
        "doubts": doubts,
        "verdict": verdict.value,
    }
    return Replayed(verdict, "\n".join([*story, *map(printable, doubts), verdict.value, ""]), data)


def _request(text: str) -> dict[str, Any]:
    if text.startswith(ASYNC_PREFIX):
        return {"job": "replay asyncio", "schedule": parse_async_token(text)}
    if text.startswith(RACE_PREFIX):
        race = parse_race_token(text)
        return {"job": "replay race", "how": race["job"], "place": race["at"], "program": race["program"]}
    return {"job": "replay", "program": parse_token(text)}
