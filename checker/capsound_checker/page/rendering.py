"""A page: the template that comes with the package, with the document, and what is shown of it, in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from capsound_checker.display.files import write_text
from capsound_checker.display.printing import printable
from capsound_checker.page.documents import runs_of
from capsound_checker.page.runs import Run
from capsound_checker.page.tables import Table, lead_of, tables_of

_IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What could end a script, or is an end of line to some readers: as JSON writes it otherwise."""

PLAIN = 60
"""How many steps are shown where no script runs."""


def write_page(path: Path, document: Any, source: str = "") -> None:
    """Write the page of a ``--json`` document; ``source`` is what the command was given. Raises ``CannotWrite``."""
    write_text(path, page(document, source))


def page(document: Any, source: str = "") -> str:
    """Return a page of HTML that needs nothing else: no network, no other file."""
    shown = shown_of(document, source)
    return filled("page.html", document, shown, asset("page.js") + asset("still.js"))


def shown_of(document: Any, source: str = "") -> dict[str, Any]:
    """Return what a page shows of a document, for its script: texts, and numbers where they are only drawn."""
    runs, tables = runs_of(document, source), tables_of(document)
    name, verdict, lead = lead_of(document)
    return {
        "command": _command(document),
        "title": name or source or "capsound",
        "verdict": verdict,
        "lead": lead,
        "tables": [table.data() for table in tables],
        "runs": [run.data() for run in runs],
        "plain": _plain(runs, tables, verdict),
    }


def live(document: Any, shown: dict[str, Any]) -> str:
    """Return the page that asks its own server what can happen next (``capsound explore``), and nobody else."""
    return filled("page.html", document, shown, asset("page.js") + asset("live.js"), " connect-src 'self';")


def filled(template: str, document: Any, shown: dict[str, Any], script: str, connect: str = "") -> str:
    """Return a template with its parts. One pass: what is put in is not looked through for more."""
    first = shown["runs"][0] if shown["runs"] else shown
    parts = {
        "TITLE": escape(printable(f"{first['title']} · {first['verdict']}")),
        "STYLE": asset("page.css"),
        "WORDS": shown["plain"],
        "DOCUMENT": in_script(document),
        "SHOWN": in_script({key: value for key, value in shown.items() if key != "plain"}),
        "SCRIPT": script,
        "CONNECT": connect,
    }
    pieces = asset(template).split("@@")
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def asset(name: str) -> str:
    """Return a file that comes with the package."""
    return (files("capsound_checker.page") / name).read_text("utf-8")


def in_script(value: Any) -> str:
    """Return data as JSON that can stand in a script of a page."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).translate(_IN_SCRIPT)


def _command(document: Any) -> str:
    one = document[0] if isinstance(document, list) and document else document
    told = str(one.get("format", "")) if isinstance(one, dict) else ""
    return told.partition("/")[0].rpartition(".")[2]


def _plain(runs: Sequence[Run], tables: Sequence[Table], verdict: str) -> str:
    """Return what is shown where no script runs: the steps and the argument of each run, and the tables."""

    def text(value: object) -> str:
        return escape(printable(str(value)))

    none = "what is known stands below" if verdict == "violated" else "nothing was refuted"
    out = [] if runs else [f"<p>No run to show: {none}.</p>"]
    for run in runs:
        out.append(f"<h2>{text(run.title)}: {text(run.verdict)}</h2><p>{text(run.hence)}</p>")
        steps = "".join(
            f"<li>{text(' '.join(filter(None, (step.actor, step.says))))}"
            + "".join(f"<br><strong>{text(name)}: {text(told)}</strong>" for name, told in step.found)
            + "</li>"
            for step in run.steps[:PLAIN]
        )
        out += [f"<ol>{steps}</ol>"] if steps else []
        out.append(
            "<ul>" + "".join(f"<li>{text(line)}</li>" for line in run.argument) + "</ul>" if run.argument else ""
        )
    for table in tables:
        rows = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
        head = "".join(f"<th>{text(column)}</th>" for column in table.columns)
        out.append(f"<h2>{text(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
    return "".join(out)
