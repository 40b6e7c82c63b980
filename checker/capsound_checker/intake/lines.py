"""Lines out of bytes: at the price of their length, and never longer than the limit.

A line that is too long is yielded as a ``LongLine``, which is no JSON; its bytes are dropped as they come, so that
neither the memory nor the time of a reader depends on what somebody wrote without an end of line.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from capsound_checker.intake.limits import LINE


class LongLine(str):
    """In place of a line that is longer than the limit."""

    __slots__ = ()


def decoded(raw: bytes) -> str:
    """Return bytes as text. One that is no UTF-8 spoils its own line at most: it survives as a lone surrogate."""
    return raw.decode("utf-8", "surrogateescape")


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
        rest = io.StringIO(decoded(chunk[first:last]), newline="\n")
        self._keep(chunk[last:])
        return [*begun, *rest]

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


def lines_of(chunks: Iterable[bytes], limit: int = LINE) -> Iterator[str]:
    """Yield the lines of a stream of bytes, each with its end, the last one as it is; a byte order mark is left out."""
    splitter = Splitter(limit)
    begun = False
    for chunk in chunks:
        if not begun:
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
            begun = True
        yield from splitter.feed(chunk)
    yield from splitter.rest()
