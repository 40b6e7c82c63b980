"""A badge: one line of SVG that says what is known of a design."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from capsound.verdict import Verdict, merge
from capsound_checker.display.files import write_text

_COLOURS = {Verdict.SOUND: "#1a7f37", Verdict.VIOLATED: "#b42318", Verdict.UNKNOWN: "#57606a"}
_LABEL = "cap-sound"


def write_badge(path: Path, documents: Any) -> None:
    """Write the badge of documents of ``solve``. Raises ``CannotWrite``."""
    write_text(path, badge(documents))


def badge(documents: Any) -> str:
    """Return the badge of documents of ``solve``: sound only where each of them is."""
    verdicts = [Verdict(str(one.get("verdict", "unknown"))) for one in documents]
    verdict = merge(verdicts) if verdicts else Verdict.UNKNOWN
    return drawn({Verdict.SOUND: "proved", Verdict.VIOLATED: "violated", Verdict.UNKNOWN: "unknown"}[verdict], verdict)


def drawn(said: str, verdict: Verdict) -> str:
    """Return a badge that says something of a verdict, in its colour."""
    left, right = _width(_LABEL), _width(said)
    title = escape(f"{_LABEL}: {said}")
    style = 'fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{title}">'
        f'<title>{title}</title><rect width="{left}" height="20" fill="#444d56"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[verdict]}"/>'
        f'<g {style}><text x="{left / 2:g}" y="14">{_LABEL}</text>'
        f'<text x="{left + right / 2:g}" y="14">{said}</text></g></svg>\n'
    )


def _width(text: str) -> int:
    return 7 * len(text) + 12
