"""The lines of a stretch: as bytes, or where they are in a file, so that whoever judges them reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capsound_checker.intake.limits import LINE
from capsound_checker.intake.lines import MARK, whole_lines

UTF = ("utf-8", "surrogateescape")
"""How lines become bytes."""

_STEP = 1 << 16


@dataclass(frozen=True, slots=True)
class Range:
    """Whole lines of a plain file: whoever judges them reads them."""

    path: str
    begin: int
    end: int

    def read(self) -> bytes:
        """Return them. Raises ``OSError``."""
        with Path(self.path).open("rb") as file:
            file.seek(self.begin)
            return file.read(self.end - self.begin)


Lot = bytes | Range
"""The lines of a stretch, or where they are."""


def read_lot(lot: Lot) -> bytes:
    """Return the lines of a stretch. Raises ``OSError``."""
    return lot if isinstance(lot, bytes) else lot.read()


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield whole lines in pieces of a size that is read at once."""
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", begin + _STEP) + 1 or len(data)
        yield data[begin:end]
        begin = end


def ranges(path: str, begin: int, size: int) -> Iterator[Lot | list[str]]:
    """Yield where the stretches of a file are, of which so many bytes were read; its end as it is."""
    with Path(path).open("rb") as file:
        if file.read(len(MARK)) == MARK:
            begin += len(MARK)
        while True:
            file.seek(begin + size - 1)
            end = begin + size - 1
            for chunk in iter(lambda: file.read(_STEP), b""):
                found = chunk.find(b"\n") + 1
                end += found or len(chunk)
                if found or end - begin > LINE:
                    break
            else:
                break
            if end - begin > LINE:
                break
            yield Range(path, begin, end)
            begin = end
        file.seek(begin)
        yield from lots(whole_lines(iter(lambda: file.read(_STEP), b"")), size)


def lots(blocks: Iterator[bytes | list[str]], size: int) -> Iterator[Lot | list[str]]:
    """Put blocks together until they are a stretch; yield lines as they are that no stretch can have."""
    kept: list[bytes] = []
    length = 0
    try:
        for block in blocks:
            data = block if isinstance(block, bytes) else _as_bytes(block)
            if data is not None:
                kept.append(data)
                length += len(data)
            if length and (data is None or length >= size):
                yield b"".join(kept)
                kept, length = [], 0
            if data is None and isinstance(block, list):
                yield block
    except KeyboardInterrupt:
        if length:
            yield b"".join(kept)
        raise
    if length:
        yield b"".join(kept)


def _as_bytes(lines: list[str]) -> bytes | None:
    """Return lines as bytes; None where they would not be the same lines."""
    if not all(type(line) is str and line.endswith("\n") and line.count("\n") == 1 for line in lines):
        return None
    return "".join(lines).encode(*UTF)
