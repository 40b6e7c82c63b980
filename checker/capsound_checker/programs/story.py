"""A run in words: what was done, the events that this was, and what the monitor found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from capsound.events import Event, Observe, event_to_dict
from capsound.monitor import Finding, Report
from capsound_checker.programs.program import Step, call


class Replay(Protocol):
    """A new run that does steps once more."""

    @property
    def events(self) -> list[Event]:
        """The events told so far."""
        ...

    @property
    def sizes(self) -> Mapping[int, Mapping[str, int]]:
        """How large the amount of an event is in further dimensions, by its place."""
        ...

    def do(self, step: Step) -> tuple[Finding, ...]:
        """Do one step and return what the monitor found in it."""
        ...

    def finish(self) -> tuple[Finding, ...]:
        """End the run and return what the monitor found in that."""
        ...

    def wrong(self) -> list[Finding]:
        """Return the findings that are the implementation's fault."""
        ...

    def report(self) -> Report:
        """Return what the monitor says of the run."""
        ...


def story(steps: Iterable[Step], replay: Replay) -> str:
    """Do the steps with ``replay``; return each with its events and what the monitor found in it."""
    parts: list[tuple[str, int, tuple[Finding, ...]]] = []
    for number, step in enumerate(steps, start=1):
        found = replay.do(step)
        parts.append((f"[{number}] {call(step)}", len(replay.events), found))
    if ended := replay.finish():
        parts.append(("[end]", len(replay.events), ended))
    wrong = {id(finding) for finding in replay.wrong()}
    lines: list[str] = []
    begin = 0
    for head, end, found in parts:
        sizes = {id(replay.events[at]): replay.sizes[at] for at in range(begin, end) if at in replay.sizes}
        lines += [head, *event_lines(replay.events[begin:end], found, wrong, sizes)]
        begin = end
    return "\n".join([*lines, *conclusion(replay.report(), any_wrong=bool(wrong))])


def event_lines(
    events: Sequence[Event],
    found: Sequence[Finding],
    wrong: set[int],
    sizes: Mapping[int, Mapping[str, int]] = MappingProxyType({}),
) -> list[str]:
    """Return events as JSON, and findings; of what an implementation says only what is wrong.

    ``wrong`` are the ``id`` of the findings that are the implementation's fault; ``sizes``, by the ``id`` of an event,
    say how large its amount is in further dimensions.
    """
    about = {id(f.event) for f in found}
    shown = [e for e in events if not isinstance(e, Observe) or id(e) in about]
    beside = [{"sizes": dict(sizes[id(e)])} if id(e) in sizes else {} for e in shown]
    lines = [f"      {json.dumps({**event_to_dict(e), **more})}" for e, more in zip(shown, beside, strict=True)]
    for finding in found:
        mark, why = ("**", "") if id(finding) in wrong else ("--", "; a bill above its hold explains it")
        lines.append(f"   {mark} {finding.anomaly}: {finding.sentence}{why}")
    return lines


def conclusion(report: Report, *, any_wrong: bool) -> list[str]:
    """Return what follows from a run, as at most one line."""
    if report.refuted is not None:
        return [f"hence not {report.refuted.label}: at most {report.strongest.label}"]
    return [] if any_wrong else ["nothing is wrong"]
