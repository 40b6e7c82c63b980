"""A few lines of Markdown to paste into a pull request, with the run as a sequence diagram of Mermaid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from capsound.anomalies import ANOMALIES
from capsound_checker.display.files import write_text
from capsound_checker.display.printing import printable
from capsound_checker.page.runs import Moment, Run, runs_of

EVENTS = 40
"""How many events a diagram has at most: half of them from the beginning, half from the end."""

_PLAIN = re.compile(r"[A-Za-z0-9 _.,()/\-]")
_WORDS = re.compile(r"\bend\b", re.IGNORECASE)
"""What ends a block of Mermaid wherever it stands."""


def write_markdown(path: Path, document: Any, source: str) -> None:
    """Write the Markdown of a ``--json`` document; ``source`` is what the command was given. Raises ``CannotWrite``."""
    write_text(path, markdown(document, runs_of(document, source)))


def markdown(document: Any, runs: Sequence[Run]) -> str:
    """Return what is to be pasted: for each run what it exceeds, the diagram, how far it reaches, the cure, the replay.

    Where there is no run, a line for each property says what is known of it.
    """
    documents: Sequence[Mapping[str, Any]] = document if isinstance(document, list) else [document]
    parts = ["\n".join(_run(run)) for run in runs]
    for one in documents:
        lines = [
            f"* {plain(one.get('scenario', ''))}, {plain(result['property'])}: **{plain(result['verdict'])}**, "
            f"{plain(result['bound'])}"
            for result in one.get("properties", ())
            if "steps" not in result
        ]
        parts += ["\n".join(lines)] if lines else []
    return "\n\n".join(parts) + "\n"


def _run(run: Run) -> Iterator[str]:
    last = run.findings[-1] if run.findings else None
    yield f"**{plain(run.verdict)}**: {plain(run.title)}" + ("" if last is None else f". {plain(last['sentence'])}.")
    yield ""
    yield from diagram(run)
    yield ""
    if run.reach:
        yield f"* How far this reaches: {plain(run.reach)}."
    for name in dict.fromkeys(str(finding["anomaly"]) for finding in run.findings):
        if name in ANOMALIES:
            yield f"* `{name}` is usually cured so: {plain(ANOMALIES[name].cure)}."
    if run.replay:
        yield f"* Run it again: {code(run.replay)}"


def diagram(run: Run) -> Iterator[str]:
    """Yield the lines of a sequence diagram: the agents, the budget and the provider."""
    actors = list(dict.fromkeys(moment.actor for moment in run.moments if moment.actor))
    names = {actor: f"a{number}" for number, actor in enumerate(actors)}
    yield "```mermaid"
    yield "sequenceDiagram"
    for actor, name in names.items():
        yield f"    participant {name} as {_label(actor)}"
    yield "    participant b as the budget"
    yield "    participant p as the provider"
    found: dict[int, list[str]] = {}
    for finding in run.findings:
        found.setdefault(int(finding["event"]), []).append(f"{finding['anomaly']}: {finding['sentence']}")
    count = len(run.moments)
    for number, moment in enumerate(run.moments, start=1):
        if count > EVENTS and EVENTS // 2 < number <= count - EVENTS // 2:
            if number == EVENTS // 2 + 1:
                yield f"    Note over b: {count - EVENTS} events are left out here"
            continue
        yield f"    {_arrow(moment, names.get(moment.actor, 'b'))}"
        for sentence in found.get(number, ()):
            yield f"    Note over b: {_label(sentence)}"
    yield "```"


def _arrow(moment: Moment, actor: str) -> str:
    event = {key: _label(value) for key, value in moment.event.items()}
    match moment.event["event"]:
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
    return f"{actor}->>b: {event['event']} {rest}"


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
