"""Files from outside: opened, read within a limit, and decoded; whatever stands in the way is said in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.intake.limits import DOCUMENT, LINE, cut
from capsound_checker.intake.lines import LongLine, split_lines

_CHUNK = 1 << 16


class CannotRead(CapsoundError):
    """An input file that cannot be read."""

    name = "cannot-read"
    exit_status = EXIT_BAD_INPUT


def read_text(path: Path, limit: int, hint: str = "") -> str:
    """Return the text of a file of at most ``limit`` bytes; ``hint`` is the cure. Raises ``CannotRead``."""
    shown = cut(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise CannotRead(f"cannot read {shown}: {error.strerror}", hint=hint) from None
    except ValueError as error:  # a name with a zero byte
        raise CannotRead(f"cannot read {shown}: {error}", hint=hint) from None
    if len(content) > limit:
        raise CannotRead(f"cannot read {shown}: it has more than {limit:,} bytes", hint=hint)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotRead(f"cannot read {shown}: it is not UTF-8 text", cause=str(error), hint=hint) from None


def lines_of(path: Path, limit: int = DOCUMENT) -> list[str]:
    """Return the lines of a file, or of standard input for ``-``; raises ``CannotRead``."""
    shown, hint = cut(str(path)), "name a file, or - for standard input"
    try:
        if str(path) == "-":
            return list(_limited(sys.stdin.buffer, "standard input", limit))
        with path.open("rb") as file:
            return list(_limited(file, shown, limit))
    except OSError as error:
        raise CannotRead(f"cannot read {shown}: {error.strerror}", hint=hint) from None
    except ValueError as error:
        raise CannotRead(f"cannot read {shown}: {error}", hint=hint) from None


def _limited(file: BinaryIO, shown: str, limit: int) -> Iterator[str]:
    size = 0

    def chunks() -> Iterator[bytes]:
        nonlocal size
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > limit:
                raise CannotRead(f"cannot read {shown}: it has more than {limit:,} bytes", hint="read a part of it")
            yield chunk

    for number, line in enumerate(split_lines(chunks()), start=1):
        if isinstance(line, LongLine):
            raise CannotRead(f"cannot read {shown}: line {number} has more than {LINE:,} bytes")
        yield line.rstrip("\r\n")
