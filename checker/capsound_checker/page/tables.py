"""What a page says beside its runs: what is known of each guarantee, property, root or cap, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capsound_checker.page.words import Tell, teller


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what it is of, its columns, and its rows. The second column is a verdict or a state where ``marked``."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: bool = False

    def data(self) -> list[Any]:
        """Return it for the script of the page."""
        return [self.title, list(self.columns), [list(row) for row in self.rows], self.marked]


def tables_of(document: Any) -> list[Table]:
    """Return the tables of a document that a command prints; those without a row are left out."""
    documents: Sequence[Mapping[str, Any]] = document if isinstance(document, list) else [document]
    several = len(documents) > 1
    out: list[Table] = []
    for one in documents:
        make = _MAKERS.get(str(one.get("format", "")).partition("/")[0])
        out += [] if make is None else make(one, several)
    return [table for table in out if table.rows]


def lead_of(document: Any) -> tuple[str, str, str]:
    """Return the name of what was judged, the verdict, and what limits it, in one line."""
    if isinstance(document, list):
        if len(document) != 1:
            verdicts = [str(one.get("verdict", "unknown")) for one in document]
            order = ("violated", "unknown", "sound")
            worst = min(verdicts, key=order.index, default="unknown")
            return f"{len(document)} scenarios", worst, f"{verdicts.count('sound')} of them are sound"
        document = document[0]
    name = next((str(document[key]) for key in ("scenario", "target", "log", "path") if key in document), "")
    if "command" in document:
        name = " ".join(document["command"])
    doubts = [str(doubt) for doubt in document.get("doubts", ())]
    return name, str(document.get("verdict", "unknown")), "; ".join(doubts)


def _solved(document: Mapping[str, Any], several: bool) -> Iterator[Table]:
    name = f": {document.get('scenario', '')}" if several else ""
    rows = tuple((str(r["property"]), str(r["verdict"]), str(r["bound"])) for r in document.get("properties", ()))
    yield Table(f"What is known{name}", ("property", "verdict", "how far it reaches"), rows, marked=True)


def _replayed(document: Mapping[str, Any], _several: bool) -> Iterator[Table]:
    rows = tuple((str(name), str(verdict)) for name, verdict in document.get("verdicts", {}).items())
    yield Table("What this run shows", ("property", "verdict"), rows, marked=True)


def _guarantees(document: Mapping[str, Any], _several: bool) -> Iterator[Table]:
    rows = tuple((str(g["name"]), str(g["state"]), str(g["why"])) for g in document["guarantees"])
    yield Table("What it keeps, weakest first", ("guarantee", "state", "why"), rows, marked=True)


def _audited(document: Mapping[str, Any], _several: bool) -> Iterator[Table]:
    tell = teller(str(document["unit"]))
    rows = tuple(
        (
            str(root["root"]),
            "violated" if root["overshoot"] else "sound" if root["cap"] is not None else "unknown",
            "none" if root["cap"] is None else tell(root["cap"]),
            _billed(root, tell),
            tell(root["spent"]),
            tell(root["overshoot"]),
        )
        for root in document["roots"]
    )
    yield Table("Accounts", ("root", "cap kept", "cap", "billed", "spent, as its books say", "over"), rows, marked=True)
    caps = tuple((str(cap.get("name", "")), str(cap.get("verdict", ""))) for cap in document["caps"])
    yield Table("Caps of the file", ("cap", "verdict"), caps, marked=True)
    found = tuple((f"{f['line']:,}", str(f["anomaly"]), str(f["sentence"])) for f in document["findings"])
    if document.get("excerpt") is None:  # else the page says so in its argument
        yield Table("Findings", ("line", "anomaly", "what was seen"), found)


def _billed(root: Mapping[str, Any], tell: Tell) -> str:
    most = root["billed_at_most"]
    if most == root["billed"]:
        return tell(most)
    return f"{tell(root['billed'])} or more" if most is None else f"{tell(root['billed'])} to {tell(most)}"


def _history(document: Mapping[str, Any], _several: bool) -> Iterator[Table]:
    names = ("operations", "clients", "roots", "admitted", "refused", "overlap")
    yield Table("The whole history", names, (tuple(f"{document[name]:,}" for name in names),))


_MAKERS = {
    "capsound.solve": _solved,
    "capsound.replay": _replayed,
    "capsound.check": _guarantees,
    "capsound.wire": _guarantees,
    "capsound.audit": _audited,
    "capsound.history": _history,
}
