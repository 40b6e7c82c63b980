"""Six lines of Markdown for a pull request: what it can cost, a diagram of Mermaid, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from capsound_checker.display.files import CannotWrite, write_text
from capsound_checker.display.printing import printable
from capsound_checker.page.documents import runs_of
from capsound_checker.page.runs import Run, Step
from capsound_checker.page.tables import lead_of, tables_of

EVENTS = 40
"""How many events a diagram has at most: half of them from the beginning, half from the end."""

RUNS = 3
"""How many runs are shown; of more, the rest is counted."""

_PLAIN = re.compile(r"[A-Za-z0-9 _.,()/\-]")
_WORDS = re.compile(r"\bend\b", re.IGNORECASE)
"""What ends a block of Mermaid wherever it stands."""


def write_markdown(path: Path, document: Any, source: str = "") -> None:
    """Write the Markdown of a ``--json`` document; ``source`` is what the command was given. Raises ``CannotWrite``."""
    write_text(path, markdown(document, source))


def add_markdown(path: Path, document: Any, source: str = "") -> None:
    """Append the Markdown of a document to a file that others write, too. Raises ``CannotWrite``."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(markdown(document, source) + "\n")
    except OSError as error:
        raise CannotWrite(f"cannot write {printable(str(path))}: {error.strerror}") from None


def markdown(document: Any, source: str = "") -> str:
    """Return what is to be pasted: for each run six lines, and a line for everything else that is known."""
    runs = runs_of(document, source)
    parts = ["\n".join(_run(run)) for run in runs[:RUNS]]
    if len(runs) > RUNS:
        names = ", ".join(dict.fromkeys(f"`{name}`" for run in runs[RUNS:] for name in run.anomalies))
        parts.append(f"{len(runs) - RUNS} more: {names}.")
    name, verdict, lead = lead_of(document)
    if not runs:
        parts.append(f"**{plain(verdict)}**: {plain(name or source)}" + (f". {plain(lead)}." if lead else ""))
    for table in tables_of(document):
        if table.marked:
            lines = [
                f"* {plain(row[0])}: **{plain(row[1])}**" + (f", {plain(row[2])}" if row[2:] and row[2] else "")
                for row in table.rows
                if not runs or row[1] not in ("violated", "refuted")
            ]
            parts += ["\n".join(lines)] if lines else []
    return "\n\n".join(parts) + "\n"


def _run(run: Run) -> Iterator[str]:
    name = f" (`{run.anomalies[-1]}`)" if run.anomalies and re.fullmatch(r"[a-z-]+", run.anomalies[-1]) else ""
    over = f"{_capital(run.over)}. Seen: {run.hence}" if run.over else f"Seen: {run.hence}"
    yield f"**{plain(run.verdict)}**: {plain(run.title)}{name}"
    yield ""
    yield f"* {plain(over)}."
    if run.rests:
        yield f"* {plain(_capital(run.rests))}."
    if run.cure:
        yield f"* The likely cure: {plain(run.cure)}."
    if run.replay:
        yield f"* Run it again: {code(run.replay)}"
    if run.panes:
        yield ""
        yield from diagram(run)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def diagram(run: Run) -> Iterator[str]:
    """Yield the lines of a sequence diagram: the agents, the budget and the provider."""
    actors = list(dict.fromkeys(step.actor for step in run.steps if step.actor))
    names = {actor: f"a{number}" for number, actor in enumerate(actors)}
    yield "```mermaid"
    yield "sequenceDiagram"
    for actor, name in names.items():
        yield f"    participant {name} as {_label(actor)}"
    alone = not run.panes[0].caps and not run.panes[0].bills
    yield "    participant b as the budget"
    if not alone:
        yield "    participant p as the provider"
    lines = list(_lines(run.steps, names))
    for number, line in enumerate(lines, start=1):
        if len(lines) > EVENTS and EVENTS // 2 < number <= len(lines) - EVENTS // 2:
            if number == EVENTS // 2 + 1:
                yield f"    Note over b: {len(lines) - EVENTS} lines are left out here"
            continue
        yield f"    {line}"
    yield "```"


def _lines(steps: Sequence[Step], names: dict[str, str]) -> Iterator[str]:
    for step in steps:
        who = names.get(step.actor, "b")
        loud = [event for event in step.events if event.get("event") != "observe"]
        for event in loud:
            yield _arrow(event, who)
        if not step.events and step.says:
            yield f"{who}->>b: {_label(step.says)}"
        for anomaly, told in step.found:
            yield f"Note over b: {_label(f'{anomaly}: {told}')}"


def _arrow(told: Any, actor: str) -> str:
    event = {key: _label(value) for key, value in told.items()}
    kind = told.get("event")
    fields = {
        "open": ("root", "cap"),
        "reserve": ("hold", "amount", "account"),
        "refuse": ("amount", "account"),
        "send": ("call", "hold"),
        "bill": ("call", "amount"),
        "settle": ("hold", "amount"),
    }
    if not set(fields.get(str(kind), ("",))) <= set(event):
        kind = ""
    match kind:
        case "open":
            return f"Note over b: {event['root']} opens with a cap of {event['cap']}"
        case "reserve":
            return f"{actor}->>b: {event['hold']} is admitted, {event['amount']} on {event['account']}"
        case "refuse":
            return f"b-->>{actor}: {event['amount']} refused on {event['account']}"
        case "send":
            return f"{actor}->>p: {event['call']} under {event['hold']}"
        case "bill":
            return f"p-->>{actor}: {event['call']} is billed {event['amount']}"
        case "settle":
            return f"{actor}->>b: {event['hold']} is settled at {event['amount']}"
    rest = " ".join(f"{key} {value}" for key, value in event.items() if key not in ("event", "agent"))
    return f"{actor}->>b: {_label(told.get('event', ''))} {rest}".rstrip()


def _label(value: object) -> str:
    """Return a text for a diagram: what could mean something there is written as a number."""
    text = printable(str(value))
    coded = "".join(c if _PLAIN.match(c) else f"#{ord(c)};" for c in text)
    return _WORDS.sub(lambda found: f"#{ord(found[0][0])};{found[0][1:]}", coded) or "#32;"


def plain(value: object) -> str:
    """Return a text in which nothing is Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!@])", lambda found: f"&#{ord(found[1])};", printable(str(value)))


def code(value: str) -> str:
    """Return a text as code, with as many ticks as it needs."""
    text = printable(value)
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks}{text}{ticks}" if "`" not in text else f"{ticks} {text} {ticks}"
