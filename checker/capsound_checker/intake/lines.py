"""Lines out of bytes: at the price of their length, and never longer than the limit.

A line that is too long is yielded as a ``LongLine``, which is no JSON; its bytes are dropped as they come, so that
neither the memory nor the time of a reader depends on what somebody wrote without an end of line.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from capsound_checker.intake.limits import LINE

MARK = b"\xef\xbb\xbf"
"""The mark of byte order that some files begin with."""

_OTHER_ENDS = "\r\v\f\x1c\x1d\x1e"
"""What else of ASCII Python takes for the end of a line; most texts have none of it."""


class LongLine(str):
    """In place of a line that is longer than the limit."""

    __slots__ = ()


def decoded(raw: bytes) -> str:
    """Return bytes as text. One that is no UTF-8 spoils its own line at most: it survives as a lone surrogate."""
    return raw.decode("utf-8", "surrogateescape")


def cut_lines(text: str) -> Iterable[str]:
    """Return the lines of a text, each with its end, which is that of Unix and no other."""
    if text.isascii() and not any(other in text for other in _OTHER_ENDS):
        return text.splitlines(keepends=True)
    return io.StringIO(text, newline="\n")


@dataclass(slots=True)
class Splitter:
    """Cuts bytes into lines, each with its end; ``limit`` is in bytes."""

    limit: int = LINE
    _parts: list[bytes] = field(default_factory=list)
    _size: int = 0
    _dropped: bool = False

    @property
    def unfinished(self) -> bool:
        """Whether a line has begun and its end was not seen."""
        return bool(self._size) or self._dropped

    def feed(self, chunk: bytes) -> Iterable[str]:
        """Take the next bytes; return the lines that end in them."""
        last = chunk.rfind(b"\n") + 1
        if not last:
            self._keep(chunk)
            return ()
        first = chunk.find(b"\n") + 1
        self._keep(chunk[:first])
        begun = list(self.rest())
        rest = cut_lines(decoded(chunk[first:last]))
        self._keep(chunk[last:])
        return [*begun, *rest] if begun else rest

    def whole(self, chunk: bytes) -> bytes | None:
        """Take the next bytes; return those of all lines that end in them. None, and nothing taken, for a long line."""
        last = chunk.rfind(b"\n") + 1
        if self._dropped or self._size + len(chunk) > self.limit:
            return None
        block = b"".join([*self._parts, chunk[:last]]) if last else b""
        if last:
            self._parts.clear()
            self._size = 0
        self._keep(chunk[last:])
        return block

    def rest(self) -> Iterator[str]:
        """Yield what was begun, as it is, and forget it."""
        if self._dropped:
            yield LongLine("\0\n")  # no blank line, and no JSON
        elif self._size:
            yield decoded(b"".join(self._parts))
        self._parts.clear()
        self._size, self._dropped = 0, False

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self.limit or self._dropped:
            self._dropped, self._size = True, 0
            self._parts.clear()
        elif part:
            self._parts.append(part)


class Lines:
    """The lines of a log: one by one, or what is left of them in blocks, which cost a reader less.

    A block is bytes, which end where a line does, or a list of lines. ``path`` is the file that they are, if they are
    all of a plain one: others may then read some of it themselves. Whoever lets them do so tells ``tell`` of it.
    """

    __slots__ = ("_blocks", "_lines", "_now", "path", "tell")

    def __init__(
        self,
        blocks: Iterable[bytes | list[str]],
        path: str = "",
        tell: Callable[[str], object] | None = None,
    ) -> None:
        self.path, self.tell = path, tell
        self._blocks = iter(blocks)
        self._now: Iterator[str] = iter(())
        self._lines = chain.from_iterable(self._cut())

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def __next__(self) -> str:
        return next(self._lines)

    def blocks(self) -> Iterator[bytes | list[str]]:
        """Yield what is left."""
        if begun := list(self._now):
            yield begun
        yield from self._blocks

    def _cut(self) -> Iterator[Iterable[str]]:
        for block in self._blocks:
            self._now = iter(cut_lines(decoded(block)) if isinstance(block, bytes) else block)
            yield self._now


def in_blocks(lines: Iterable[str], few: int = 256) -> Lines:
    """Return lines that can be had in blocks: of so ``few``, where they come one by one.

    Whatever ends them early comes after all that came before it.
    """
    return lines if isinstance(lines, Lines) else Lines(_gathered(iter(lines), few))


def _gathered(lines: Iterator[str], few: int) -> Iterator[list[str]]:
    block: list[str] = []
    try:
        for line in lines:
            block.append(line)
            if len(block) >= few:
                yield block
                block = []
    except GeneratorExit:
        raise
    except BaseException:
        yield block
        raise
    yield block


def split_lines(chunks: Iterable[bytes], limit: int = LINE, path: str = "") -> Lines:
    """Return the lines of a stream, each with its end, the last one as it is; a byte order mark is left out."""
    return Lines(whole_lines(chunks, limit), path)


def whole_lines(chunks: Iterable[bytes], limit: int = LINE) -> Iterator[bytes | list[str]]:
    """Yield the bytes of a stream in blocks that end where a line does; the last line as it is."""
    splitter = Splitter(limit)
    begun = False
    for chunk in chunks:
        if not begun:
            chunk = chunk.removeprefix(MARK)
            begun = True
        block = splitter.whole(chunk)
        if block is None:
            yield list(splitter.feed(chunk))
        elif block:
            yield block
    yield list(splitter.rest())
