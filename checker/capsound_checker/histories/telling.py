"""What is said of a recorded run that was judged: as text, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from capsound_checker.histories.history import History, HistoryVerdict, check

FIELDS = (
    "anomaly",
    "sentence",
    "operations",
    "clients",
    "roots",
    "admitted",
    "refused",
    "overlap",
    "shortest",
    "steps",
    "interrupted",
)


def judged(lines: Iterable[str], where: str, *, as_json: bool) -> tuple[str, int]:
    """Judge a recorded run; return what is printed of it, and the exit status. Raises ``BadHistory``."""
    found = check(History.read(lines, where))
    printed = json.dumps(data(found), indent=2, sort_keys=True) if as_json else text(found)
    return printed, found.exit_status


def data(found: HistoryVerdict) -> dict[str, Any]:
    """Return the verdict as JSON data."""
    told = {name: getattr(found, name) for name in FIELDS}
    return {"format": "capsound.history/1", "verdict": found.verdict.value, **told, "window": list(found.window)}


def text(found: HistoryVerdict) -> str:
    """Return the verdict in words, after the operations that show what is wrong."""
    lines = []
    if found.anomaly:
        lines += [f"{found.anomaly}: {found.sentence}", *found.window]
        if found.window and not found.shortest and found.anomaly != "hang":
            lines.append("(fewer operations may show the same: the search for the shortest window ran out of steps)")
    if found.interrupted:
        lines.append("interrupted: no order of the operations is known" if not found.anomaly else "interrupted")
    return "\n".join([*lines, f"{found.verdict.value}: {found.operations} operations of {found.clients} clients"])
