"""Where the lines of a log come from: a file, a compressed one, standard input, or one that is still being written."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.intake.lines import Splitter, lines_of

if TYPE_CHECKING:
    from io import BufferedReader

_CHUNK = 1 << 16


class BadLog(CapsoundError):
    """A log that cannot be judged: ``where`` is ``file:line``, the hint is the cure."""

    name = "bad-log"
    exit_status = EXIT_BAD_INPUT


def counted(lines: Iterable[str], tell: Callable[[str], object], every: int = 50_000) -> Iterator[str]:
    """Yield ``lines``, and ``tell`` from time to time how many there were."""
    for number, line in enumerate(lines, 1):
        if number % every == 0:
            tell(f"{number:,} lines")
        yield line


@contextlib.contextmanager
def open_log(path: str | Path, *, follow: bool = False) -> Iterator[Iterable[str]]:
    """Open a log for reading: ``-`` is standard input, a name that ends in ``.gz`` is decompressed.

    With ``follow`` the lines never end: the file is read as it is written (``followed``).
    Raises ``BadLog`` where there is no such file, or it cannot be read.
    """
    if follow:
        yield followed(path)
        return
    if str(path) == "-":
        yield lines_of(iter(lambda: cast("BufferedReader", sys.stdin.buffer).read1(_CHUNK), b""))
        return
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path may be a text here
            if str(path).endswith(".gz"):
                yield _unpacked(path, file)
            else:
                yield lines_of(iter(lambda: file.read(_CHUNK), b""))
    except OSError as error:
        if error.filename is None:
            raise
        raise BadLog(
            f"cannot read the log: {error.strerror}", where=str(path), hint="name a file of JSON lines, or - for stdin"
        ) from None


def _unpacked(path: str | Path, file: BinaryIO) -> Iterator[str]:
    try:
        with gzip.open(file, "rb") as unpacked:
            yield from lines_of(iter(lambda: unpacked.read(_CHUNK), b""))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadLog(
            f"cannot be decompressed: {error}",
            where=str(path),
            hint="decompress what is there: `gzip -dc FILE | capsound audit -`",
        ) from None


def followed(
    path: str | Path,
    *,
    poll: float = 0.2,
    sleep: Callable[[float], object] = time.sleep,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[str]:
    """Yield the lines of a file as they are written, from its beginning, for ever, or until ``stop`` says so.

    A line is yielded when its end has been written. A file that was truncated is read again from its start; one that
    was replaced under its name (rotated) is read to its end, then the new one. What was left unfinished in either case
    is yielded as it is, without an end. ``poll`` is in seconds. Raises ``BadLog`` if there is no file to begin with.
    A file that was truncated and has since grown beyond what was read cannot be told from one that only grew.
    """
    try:
        file = open(path, "rb")  # noqa: PTH123, SIM115 - closed below, and a path may be a text here
    except OSError as error:
        raise BadLog(
            f"cannot read the log: {error.strerror}",
            where=str(path),
            hint="name a file that exists: it is then followed",
        ) from None
    splitter = Splitter()
    try:
        while True:
            state = _changed(path, file)  # asked before reading: what came before a rotation is read to its end
            while chunk := file.read(_CHUNK):
                yield from splitter.feed(chunk)
            over = not state and stop()
            if state or over:
                yield from splitter.rest()
            if over:
                return
            if state == "truncated":
                file.seek(0)
            elif state == "rotated":
                file.close()
                file = open(path, "rb")  # noqa: PTH123, SIM115
            else:
                sleep(poll)
    finally:
        file.close()


def _changed(path: str | Path, file: BinaryIO) -> str:
    """Return whether the file under this name is shorter than what was read, or another one; empty if neither."""
    mine = os.fstat(file.fileno())
    if mine.st_size < file.tell():
        return "truncated"
    try:
        there = os.stat(path)  # noqa: PTH116
    except OSError:
        return ""  # between two names: it will come back, or nothing more is to be read
    return "" if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino) else "rotated"
