"""What is said of a recorded run that was judged: as text, or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from capsound_checker.histories.history import HistoryVerdict

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


def data(found: HistoryVerdict) -> dict[str, Any]:
    """Return the verdict as JSON data."""
    told = {name: getattr(found, name) for name in FIELDS}
    told |= {"window": list(found.window), "shown": [asdict(one) for one in found.shown]}
    return {"format": "capsound.history/1", "verdict": found.verdict.value, **told}


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
