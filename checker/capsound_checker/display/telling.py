"""How errors are told, in words and as data: the same for every command, and never more than a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capsound.errors import CapsoundError
from capsound_checker.display.printing import printable, screen

if TYPE_CHECKING:
    from pathlib import Path

OUR_BUG = "This is a bug of capsound. Set CAPSOUND_DEBUG=1 for the traceback, and please report it."


def error_text(error: CapsoundError, path: Path | None = None) -> str:
    """Return an error in words: where, what, why, and the cure. ``path`` is named where the error names none."""
    render = getattr(error, "render", None)
    if callable(render):
        return screen(str(render()))
    where = "" if error.where or path is None else f"{path}: "
    lines = [printable(f"error: {where}{error}")]
    if error.cause:
        lines.append(f"  because: {error.cause}")
    if error.hint:
        lines.append(printable(f"  cure: {error.hint}"))
    return screen("\n".join(lines))


_LONGEST = 4_000
"""How many characters a text of an error may have as data."""


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"


def error_data(error: CapsoundError) -> dict[str, Any]:
    """Return an error as JSON data, with every problem of a file that has several."""
    data: dict[str, Any] = {
        "name": error.name,
        "message": _short(error.message),
        "where": _short(error.where),
        "cause": _short(error.cause),
        "hint": _short(error.hint),
    }
    problems = getattr(error, "problems", ())
    if problems:
        file = error.where.rsplit(":", 2)[0] if error.where.count(":") >= 2 else error.where
        data["problems"] = [
            {
                "where": f"{file}:{p.line}:{p.column}" if p.line else file,
                "message": _short(p.message),
                "hint": _short(p.hint),
            }
            for p in problems
        ]
    return data
