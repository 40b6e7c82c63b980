"""A badge: one line of SVG that says what is known of a design, or which guarantee a library keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from capsound.verdict import Verdict, merge
from capsound_checker.display.files import write_text

GOOD, BAD, OPEN = "#1a7f37", "#b42318", "#57606a"
_LABEL = "cap-sound"
COLOURS = {Verdict.SOUND: GOOD, Verdict.VIOLATED: BAD, Verdict.UNKNOWN: OPEN}
_WORDS = {Verdict.SOUND: "proved", Verdict.VIOLATED: "violated", Verdict.UNKNOWN: "unknown"}


def write_badge(path: Path, document: Any) -> None:
    """Write the badge of a ``--json`` document of ``solve`` or ``check``. Raises ``CannotWrite``."""
    write_text(path, badge(document))


def badge(document: Any) -> str:
    """Return the badge of a document of ``check``, or of a list of those of ``solve``: sound only where each is."""
    said, colour = _checked(document) if isinstance(document, Mapping) else _solved(document)
    return drawn(said, colour)


def drawn(said: str, colour: str) -> str:
    """Return a badge that says something, on a colour."""
    left, right = _width(_LABEL), _width(said)
    title = escape(f"{_LABEL}: {said}")
    style = 'fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{title}">'
        f'<title>{title}</title><clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444d56"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        f'<g {style}><text x="{left / 2:g}" y="14">{_LABEL}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(said)}</text></g></svg>\n'
    )


def _solved(documents: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    verdicts = [Verdict(str(one.get("verdict", "unknown"))) for one in documents]
    verdict = merge(verdicts) if verdicts else Verdict.UNKNOWN
    return _WORDS[verdict], COLOURS[verdict]


def _checked(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the strongest guarantee that is kept; green where that is what was required, or nothing was found."""
    verdict, strongest = Verdict(str(document["verdict"])), str(document["strongest"])
    if strongest == "none":
        return ("violated", BAD) if verdict is Verdict.VIOLATED else ("unknown", OPEN)
    order = [str(one["name"]) for one in document["guarantees"]]
    required = str(document["required"])
    kept = verdict is Verdict.SOUND or (required in order and order.index(strongest) >= order.index(required))
    return strongest, GOOD if kept else OPEN if verdict is Verdict.UNKNOWN else BAD


def _width(text: str) -> int:
    return 7 * len(text) + 12
