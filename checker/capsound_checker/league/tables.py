"""A league as Markdown: a table of all targets, then each of them with its smallest runs and its command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from capsound_checker.display.files import write_text
from capsound_checker.display.printing import clean
from capsound_checker.league.telling import percent
from capsound_checker.page.markdown import code, plain

BEGIN, END = "<!-- league: begin -->", "<!-- league: end -->"
"""Between these lines of a page that is there, the tables are put; a page without them is replaced."""

FATES = ("overrun", "cancelled", "timed out", "abandoned")
"""What is told of calls that do not end as planned, in this order."""


def write_markdown(path: Path, document: Mapping[str, Any]) -> None:
    """Write the tables of a league into a page. Raises ``CannotWrite``."""
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        page = ""
    write_text(path, placed(page, markdown(document)))


def placed(page: str, tables: str) -> str:
    """Return a page with the tables between the two lines that mark their place."""
    head, begin, rest = page.partition(f"{BEGIN}\n")
    _, end, tail = rest.partition(f"{END}\n")
    if not begin or not end:
        return f"# What published budgets keep\n\n{BEGIN}\n{tables}{END}\n"
    return f"{head}{begin}{tables}{end}{tail}"


def markdown(document: Mapping[str, Any]) -> str:
    """Return the tables of a league."""
    return "\n".join(
        [*_table(document), *_price(document), *(line for row in document["targets"] for line in _target(row))]
    )


_HEAD = (
    "target",
    "version",
    "promise",
    "strongest",
    "anomalies",
    "only when misused",
    "cap used",
    "overrun",
    "cancelled",
    "timed out",
    "abandoned",
)


def _table(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {' | '.join(_HEAD)} |"
    yield f"| {' | '.join('---' for _ in _HEAD)} |"
    for row in document["targets"]:
        yield f"| {' | '.join(_cells(row))} |"
    yield ""


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"[{code(row['name'])}](#{anchor(row['name'])})"
    yield plain(row["version"]) or "-"
    yield f"“{plain(row['promise'])}”"
    yield code(row["strongest"]) if row["strongest"] else "unknown"
    for misuse in (False, True):
        names = dict.fromkeys(each["anomaly"] for each in row["found"] if each["misuse"] is misuse)
        yield ", ".join(f"[{code(name)}](anomalies/{name}.md)" for name in names) or "-"
    yield percent(row["precision"], "used_per_mille")
    for name in FATES:
        yield plain(row["fates"].get(name, "-"))


def anchor(name: str) -> str:
    """Return where the section of a target is, as renderers of Markdown call it."""
    return "".join(sign for sign in name.lower() if sign.isalnum() or sign in "-_")


def _price(document: Mapping[str, Any]) -> Iterator[str]:
    price = document["price"]
    rows = [row for row in document["targets"] if row["precision"] is not None]
    if rows:
        plainly = percent(rows[0]["precision"], "reserve_settle_per_mille")
        yield "*Cap used* is a share of what a clairvoyant oracle uses, who knows every bill beforehand. Plain"
        yield f"reserve-settle, which knows the estimates, uses {plainly}."
    if price is not None:
        told = ", ".join(f"{code(one['name'])} {one['used_per_mille'] / 10:.0f} %" for one in price["strategies"])
        yield f"The price of soundness, by {code(price['command'])}: {told}."
    yield ""


def _target(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {row['name']}"
    yield ""
    what = f"{plain(row['package'])} {plain(row['version'])} ({row['registry']})" if row["package"] else "local"
    yield f"{what}, {row['kind']}. Judged on {row['judged_on']}, with {_python(row)}."
    yield ""
    yield f"* It promises: “{plain(row['promise'])}” ({_source(row['source'])})."
    if row["strongest"]:
        yield f"* Strongest guarantee: {code(row['strongest'])}{_why(row)}."
    if row["assumes"]:
        yield f"* It assumes {', '.join(map(code, row['assumes']))}."
    for word, texts in (("Documented limit", row["limits"]), ("Defect", row["defects"]), ("Unknown", _doubts(row))):
        for text in texts:
            yield f"* {word}: {plain(text).rstrip('.')}."
    if row["precision"] is not None:
        yield f"* {_used(row['precision'])}"
    if row["fates"]:
        told = [f"{name}: {plain(row['fates'][name])}" for name in FATES if name in row["fates"]]
        yield f"* {'; '.join(told)}."
    if row["notes"]:
        yield f"* {plain(row['notes'])}"
    yield f"* Judge it again: {code(row['command'])}"
    yield ""
    for story, names in _stories(row).items():
        yield f"{', '.join(map(code, names))}:"
        yield ""
        yield from ["```text", *clean(story).replace("```", "'''").splitlines(), "```", ""]


def _python(row: Mapping[str, Any]) -> str:
    return (
        f"{'node' if row['registry'] == 'npm' else 'Python'} {plain(row['python'])}"
        if row["python"]
        else "nothing installed"
    )


def _source(source: str) -> str:
    return f"<{source}>" if source.startswith("https://") and not set(source) & set("<> \"'") else code(source)


def _why(row: Mapping[str, Any]) -> str:
    refuted = next((rung for rung in row["guarantees"] if rung["state"] == "refuted"), None)
    told = f" ({plain(row['evidence'])})" if row["evidence"] else ""
    return told + (f"; {code(refuted['name'])} is refuted {plain(refuted['why'])}" if refuted else "")


def _doubts(row: Mapping[str, Any]) -> list[str]:
    return list(row["doubts"]) if row["verdict"] == "unknown" else []


def _used(sums: Mapping[str, Any]) -> str:
    used = percent(sums, "used_per_mille")
    refused = f"{sums['refused']} of {sums['calls']} calls ({sums['falsely']} although their estimates fitted)"
    return (
        f"It used {used} of what an oracle uses of the cap, refused {refused}, and stranded {sums['stranded']} units."
    )


def _stories(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the smallest runs, each once, with the anomalies that it shows."""
    out: dict[str, list[str]] = {}
    for each in row["found"]:
        names = out.setdefault("\n".join(each["story"]), [])
        if each["anomaly"] not in names:
            names.append(each["anomaly"])
    return out
