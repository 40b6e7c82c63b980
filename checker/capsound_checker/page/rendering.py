"""A page: the template that comes with the package, with the document and the runs in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from capsound_checker.display.files import write_text
from capsound_checker.display.printing import printable
from capsound_checker.page.runs import Run, runs_of

_IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What could end a script, or is an end of line to some readers: as JSON writes it otherwise."""


def write_page(path: Path, document: Any, source: str) -> None:
    """Write the page of a ``--json`` document; ``source`` is what the command was given. Raises ``CannotWrite``."""
    write_text(path, page(document, runs_of(document, source)))


def page(document: Any, runs: Sequence[Run]) -> str:
    """Return a page of HTML that needs nothing else: no network, no other file."""
    folder = files("capsound_checker.page")
    parts = {
        "TITLE": escape(printable(_title(document, runs))),
        "STYLE": (folder / "page.css").read_text("utf-8"),
        "WORDS": _words(runs),
        "DOCUMENT": _data(document),
        "RUNS": _data([run.data() for run in runs]),
        "SCRIPT": (folder / "page.js").read_text("utf-8"),
    }
    # One pass: what is put in is not looked through for more.
    pieces = (folder / "page.html").read_text("utf-8").split("@@")
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def _title(document: Any, runs: Sequence[Run]) -> str:
    if runs:
        return f"{runs[0].title} · {runs[0].verdict}"
    one = document[0] if isinstance(document, list) and document else document
    verdict = one.get("verdict", "") if isinstance(one, dict) else ""
    return f"capsound · {verdict}" if verdict else "capsound"


def _words(runs: Sequence[Run]) -> str:
    """Return what is shown where no script runs: the argument of each run."""
    if not runs:
        return "<p>No run to show: nothing was refuted.</p>"
    out = []
    for run in runs:
        lines = "".join(f"<li>{escape(printable(line))}</li>" for line in run.argument)
        out.append(f"<h2>{escape(printable(run.title))}: {escape(run.verdict)}</h2><ul>{lines}</ul>")
    return "".join(out)


def _data(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).translate(_IN_SCRIPT)
