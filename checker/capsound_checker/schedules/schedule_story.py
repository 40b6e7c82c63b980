"""One schedule in words: what each agent did, the events, and what the monitor found."""

from __future__ import annotations

from capsound_checker.programs.story import conclusion, event_lines
from capsound_checker.schedules.runstate import RunState


def schedule_story(run: RunState) -> str:
    """Return a run in words."""
    record = run.record
    wrong = {id(finding) for finding in record.wrong()}
    end = ("the end", len(record.events), len(record.findings))
    parts = [("the budget is opened", 0, 0), *run.narrative, end]
    lines: list[str] = []
    for number, (head, events, findings) in enumerate(parts):
        _, events_end, findings_end = parts[number + 1] if number + 1 < len(parts) else end
        body = event_lines(record.events[events:events_end], record.findings[findings:findings_end], wrong)
        if head == "the end" and not body:
            continue
        lines += [f"[{number + 1}] {head}", *body]
    return "\n".join([*lines, *conclusion(record.report(), any_wrong=bool(wrong))])
