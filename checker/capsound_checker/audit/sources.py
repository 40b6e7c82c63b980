"""Where a log comes from: files of several kinds, folders and patterns of them, standard input, or a database."""

from __future__ import annotations

import contextlib
import glob
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.audit import tables
from capsound_checker.audit.logreading import BadLog, open_log
from capsound_checker.intake.limits import DOCUMENT, cut
from capsound_checker.intake.lines import split_lines

KINDS = (".jsonl", ".ndjson", ".json", ".log", ".csv", ".parquet")
"""How the names of logs end that are looked for in folders, perhaps with one of ``PACKED``."""

PACKED = (".gz", ".zst")

_CHUNK = 1 << 16
_BLANK = re.compile(r"[\s,\ufeff]*")


_NAMED = 10


class BadSource(CapsoundError):
    """What names a log does not go together."""

    name = "bad-source"
    exit_status = EXIT_USAGE


@dataclass(slots=True)
class Source:
    """The lines of a log, what it is called, and what is to be said of where they come from."""

    name: str
    lines: Iterable[str]
    files: list[tuple[str, int]] = field(default_factory=list)
    """Where there are several files: each that was begun, with the number of its first line."""

    @property
    def notes(self) -> tuple[str, ...]:
        """In which file a line is, in words."""
        if len(self.files) < 2:
            return ()
        told = [f"{cut(_short(name), 60)} from line {first:,}" for name, first in self.files[:_NAMED]]
        more = f", and {len(self.files) - _NAMED:,} more files" if len(self.files) > _NAMED else ""
        return (f"lines are counted through all files: {', '.join(told)}{more}",)


@contextlib.contextmanager
def open_source(logs: Sequence[str], query: str | None = None) -> Iterator[Source]:
    """Open what is named on a command line: files, folders, patterns, ``-``, ``sqlite:FILE``, ``postgresql://...``.

    Raises ``BadLog`` where there is no such file or it cannot be read, and ``BadSource`` for what does not go
    together.
    """
    first = logs[0]
    base = first.startswith(("sqlite:", "postgresql:", "postgres:"))
    if base is not (query is not None) or (base and len(logs) > 1):
        raise BadSource("--query goes with one database: sqlite:FILE or postgresql://USER@HOST/DATABASE")
    if base and query is not None:
        if first.startswith("sqlite:"):
            yield Source(first, tables.sqlite_lines(first.removeprefix("sqlite:"), query))
        else:
            yield Source(tables.without_password(first), tables.postgres_lines(first, query))
        return
    paths = [path for log in logs for path in _files(log)]
    if len(paths) == 1 and not _special(paths[0]):
        with open_log(paths[0]) as lines:
            yield Source("standard input" if paths[0] == "-" else paths[0], lines)
        return
    source = Source(logs[0] if len(logs) == 1 else f"{cut(logs[0], 80)} and {len(logs) - 1} more", ())
    source.lines = _chained(paths, source.files)
    yield source


def followed(logs: Sequence[str], query: str | None) -> Path:
    """Return the file of lines that is to be followed. Raises ``BadSource`` where these name anything else."""
    paths = [path for log in logs for path in _files(log)]
    if query is not None or len(paths) != 1 or paths[0] == "-" or _special(paths[0]) or paths[0].endswith(PACKED):
        raise BadSource("--follow needs one file of lines", hint="of a folder, name the file that is written")
    return Path(paths[0])


def _files(log: str) -> list[str]:
    """Return the files that a name stands for, in the order of their names."""
    path = Path(log)
    if log == "-" or path.is_file():
        return [log]
    if path.is_dir():
        found = [str(one) for one in path.rglob("*") if one.is_file() and _kind(one.name) in KINDS]
        if not found:
            raise BadLog("there is no log in this folder", where=cut(log), hint=f"names end in: {' '.join(KINDS)}")
        return sorted(found)
    if glob.has_magic(log):
        found = [one for one in glob.glob(log, recursive=True) if Path(one).is_file()]  # noqa: PTH207 - any pattern
        if not found:
            raise BadLog("no file fits this pattern", where=cut(log), hint="put it in quotes, or name a folder")
        return sorted(found)
    return [log]


def _short(name: str) -> str:
    """Return the end of a path: that is where files of one log differ."""
    return name if len(name) <= 60 else f"...{name[-57:]}"


def _kind(name: str) -> str:
    """Return how the name of a log ends, without what it is packed with."""
    plain = name
    for packed in PACKED:
        plain = plain.removesuffix(packed)
    return Path(plain).suffix.lower()


def _special(name: str) -> bool:
    return _kind(name) in (".csv", ".parquet") or name.endswith(".zst")


def _chained(paths: Sequence[str], begun: list[tuple[str, int]]) -> Iterator[str]:
    count = 0
    for path in paths:
        begun.append((path, count + 1))
        for line in _lines(path, len(paths) > 1):
            count += 1
            yield line if line.endswith("\n") or len(paths) == 1 else f"{line}\n"


def _lines(path: str, several: bool) -> Iterator[str]:
    kind = _kind(path)
    if kind == ".parquet":
        if path.endswith(PACKED):
            raise BadLog("Parquet is packed inside: unpack the file", where=cut(path))
        yield from tables.parquet_lines(Path(path))
        return
    with _text(path) as lines:
        if kind == ".csv":
            yield from tables.csv_lines(lines, path)
        elif kind == ".json" and several:
            yield from _document(lines, path)
        else:
            yield from lines


def _document(lines: Iterable[str], path: str) -> Iterator[str]:
    """Yield the members of a JSON file that is one document as lines; the lines of one that is not."""
    kept: list[str] = []
    size = 0
    for line in lines:
        kept.append(line)
        size += len(line)
        if size > DOCUMENT:
            raise BadLog(
                f"the file has more than {DOCUMENT >> 20} MiB", where=cut(path), hint="name it .jsonl if it is lines"
            )
    try:
        yield from list(_members("".join(kept)))
    except (ValueError, ArithmeticError, RecursionError):
        yield from kept


def _after(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return position if found is None else found.end()


def _members(text: str) -> Iterator[str]:
    """Yield the texts of the members of an array, or of a document that is none, each as one line."""
    decode = json.JSONDecoder().raw_decode
    position = _after(text, 0)
    array = text[position : position + 1] == "["
    position = _after(text, position + 1) if array else position
    while position < len(text) and text[position] != "]":
        _, end = decode(text, position)
        # Outside of texts a line may end anywhere, and inside of one none can.
        yield text[position:end].replace("\n", " ").replace("\r", " ") + "\n"
        position = _after(text, end)
    if array and text[position : position + 1] != "]":
        raise ValueError("the array does not end")


@contextlib.contextmanager
def _text(path: str) -> Iterator[Iterable[str]]:
    if not path.endswith(".zst"):
        with open_log(path) as lines:
            yield lines
        return
    zstandard = tables.needed("zstandard", "a name that ends in .zst")
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise BadLog(f"cannot read the log: {error.strerror}", where=cut(path), hint="name a file") from None
    with file, zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as unpacked:
        yield _unpacked(path, unpacked, zstandard.ZstdError)


def _unpacked(path: str, unpacked: Any, wrong: type[Exception]) -> Iterator[str]:
    try:
        yield from split_lines(iter(lambda: unpacked.read(_CHUNK), b""))
    except wrong as error:
        raise BadLog(
            f"cannot be decompressed: {error}", where=cut(path), hint="zstd -dc FILE | capsound audit -"
        ) from None
