"""How errors are told, in words and as data, and how files are written: the same for every command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, EXIT_USAGE, CapsoundError

OUR_BUG = "This is a bug of capsound. Set CAPSOUND_DEBUG=1 for the traceback, and please report it."


class CannotWrite(CapsoundError):
    """An output file that cannot be written."""

    name = "cannot-write"
    exit_status = EXIT_USAGE


def error_text(error: CapsoundError, path: Path | None = None) -> str:
    """Return an error in words: where, what, why, and the cure. ``path`` is named where the error names none."""
    render = getattr(error, "render", None)
    if callable(render):
        return str(render())
    lines = [f"error: {error}" if error.where or path is None else f"error: {path}: {error}"]
    if error.cause:
        lines.append(f"  because: {error.cause}")
    if error.hint:
        lines.append(f"  cure: {error.hint}")
    return "\n".join(lines)


def error_data(error: CapsoundError) -> dict[str, Any]:
    """Return an error as JSON data, with every problem of a file that has several."""
    data: dict[str, Any] = {
        "name": error.name,
        "message": error.message,
        "where": error.where,
        "cause": error.cause,
        "hint": error.hint,
    }
    problems = getattr(error, "problems", ())
    if problems:
        file = error.where.rsplit(":", 2)[0] if error.where.count(":") >= 2 else error.where
        data["problems"] = [
            {"where": f"{file}:{p.line}:{p.column}" if p.line else file, "message": p.message, "hint": p.hint}
            for p in problems
        ]
    return data


def printable(text: str) -> str:
    """Return a text from outside on one line: what cannot be printed is written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class CannotRead(CapsoundError):
    """An input file that cannot be read."""

    name = "cannot-read"
    exit_status = EXIT_BAD_INPUT


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file, or of standard input for ``-``; raises ``CannotRead``."""
    try:
        if str(path) == "-":
            return sys.stdin.read().splitlines()
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CannotRead(f"cannot read {path}: {error.strerror}", hint="name a file, or - for standard input") from None
    except UnicodeDecodeError as error:
        raise CannotRead(f"cannot read {path}: it is not UTF-8 text", cause=str(error)) from None


def check_writable(path: Path) -> None:
    """Raise ``CannotWrite`` where ``path`` cannot be written: before the work, not after it."""
    if not path.parent.is_dir():
        raise CannotWrite(f"cannot write {path}: No such file or directory", hint="make the folder first")
    if path.is_dir():
        raise CannotWrite(f"cannot write {path}: Is a directory", hint="name a file")


def make_folder(path: Path) -> None:
    """Make a folder, unless it is there; raises ``CannotWrite`` with the reason of the system."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot make the folder {path}: {error.strerror}") from None


def write_text(path: Path, text: str) -> None:
    """Write a file; raises ``CannotWrite`` with the reason of the system."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror}") from None


def write_itf(path: Path, document: dict[str, Any]) -> None:
    """Write a trace in the ITF format; raises ``CannotWrite``."""
    write_text(path, json.dumps(document, indent=1, sort_keys=True) + "\n")
