"""Where the lines of a log come from: a file, a compressed one, or standard input."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, BinaryIO, cast

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.intake.lines import Lines, in_blocks, split_lines, whole_lines

if TYPE_CHECKING:
    from io import BufferedReader

_CHUNK = 1 << 16


class BadLog(CapsoundError):
    """A log that cannot be judged: ``where`` is ``file:line``, the hint is the cure."""

    name = "bad-log"
    exit_status = EXIT_BAD_INPUT


def counted(lines: Iterable[str], tell: Callable[[str], object], every: int = 50_000) -> Lines:
    """Return ``lines``, and ``tell`` from time to time how many there were. None waits for another."""

    def parts() -> Iterator[bytes | list[str]]:
        number, due = 0, every
        for block in in_blocks(lines, 1).blocks():
            if number >= due:
                tell(f"{number:,} lines")
                due = number + every
            yield block
            number += block.count(b"\n") if isinstance(block, bytes) else len(block)

    return Lines(parts(), lines.path if isinstance(lines, Lines) else "", tell)


@contextlib.contextmanager
def open_log(path: str | Path) -> Iterator[Iterable[str]]:
    """Open a log for reading: ``-`` is standard input, a name that ends in ``.gz`` is decompressed.

    Raises ``BadLog`` where there is no such file, or it cannot be read.
    """
    if str(path) == "-":
        yield split_lines(iter(lambda: cast("BufferedReader", sys.stdin.buffer).read1(_CHUNK), b""))
        return
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path may be a text here
            if str(path).endswith(".gz"):
                yield Lines(_unpacked(path, file))
            else:
                yield split_lines(
                    iter(lambda: file.read(_CHUNK), b""),
                    path=str(path) if S_ISREG(os.fstat(file.fileno()).st_mode) else "",
                )
    except OSError as error:
        if error.filename is None:
            raise
        raise BadLog(
            f"cannot read the log: {error.strerror}", where=str(path), hint="name a file of JSON lines, or - for stdin"
        ) from None


def _unpacked(path: str | Path, file: BinaryIO) -> Iterator[bytes | list[str]]:
    try:
        with gzip.open(file, "rb") as unpacked:
            yield from whole_lines(iter(lambda: unpacked.read(_CHUNK), b""))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadLog(
            f"cannot be decompressed: {error}",
            where=str(path),
            hint="decompress what is there: `gzip -dc FILE | capsound audit -`",
        ) from None
