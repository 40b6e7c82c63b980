"""Which file a log is that was read before: known by what was read of it, under whatever name a rotation gave it."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

_EDGE = 4096
"""How many bytes at the beginning, and how many before a place, tell that a file is the one that was read."""

_ADDED = r"[.-]\d[\dT:_.-]*?"
"""What rotation adds to a name: ``.1``, ``-20260105``."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read: ``offset`` bytes, all of them of whole lines.

    A place at the beginning of a file tells only ``when`` that file was last written to, in nanoseconds: what rotation
    made of it, if anything, was written to later.
    """

    offset: int = 0
    when: int = 0
    head: str = ""
    tail: str = ""
    """The first bytes, and the last ones before the place: their SHA-256."""


def place_in(file: BinaryIO, offset: int) -> Place:
    """Return the place at ``offset`` in an open file; the position of the file stays where it is."""
    before = file.tell()
    head = _hashed(file, 0, min(offset, _EDGE))
    tail = _hashed(file, max(0, offset - _EDGE), min(offset, _EDGE))
    file.seek(before)
    return Place(offset, os.fstat(file.fileno()).st_mtime_ns, head, tail)


def is_of(file: BinaryIO, place: Place) -> bool:
    """Return whether this is the file of a place: what was read of it is still there. A beginning is that of any."""
    found = place_in(file, place.offset)
    return (found.head, found.tail) == (place.head, place.tail)


def opened(path: Path) -> BinaryIO:
    """Open a file of a log, which may be compressed. Raises ``OSError``."""
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def predecessor(path: Path, place: Place) -> Path | None:
    """Return the file under which a log goes on that was read up to a place; None where there is none."""
    for other in reversed(list(siblings(path))):
        with suppress(OSError, EOFError, zlib.error), opened(other) as file:
            if is_of(file, place):
                return other
    return None


def siblings(path: Path, after: int = -1) -> Iterator[Path]:
    """Yield the files that rotation made of a log, those written to first come first.

    ``after`` is a time of modification in nanoseconds: only files that were written to later.
    """
    name, stem, suffix = re.escape(path.name), re.escape(path.stem), re.escape(path.suffix)
    rotated = re.compile(rf"(?:{name}{_ADDED}|{stem}{_ADDED}{suffix})(?:\.gz)?")
    found = []
    with suppress(OSError):
        for other in path.parent.iterdir():
            with suppress(OSError):
                if rotated.fullmatch(other.name) and other.is_file():
                    found.append((other.stat().st_mtime_ns, other.name, other))
    yield from (other for when, _, other in sorted(found) if when > after)


def _hashed(file: BinaryIO, start: int, length: int) -> str:
    """Return the hash of some bytes of a file; fewer than asked for are never taken for all of them."""
    file.seek(start)
    read = file.read(length)
    return sha256(read).hexdigest() if len(read) == length else ""
