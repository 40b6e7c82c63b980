"""Where every key and value of a TOML text stands: ``("agents", 0, "count")`` -> line and column.

``tomllib`` checks the text and says what it means, and forgets where. This scanner is its complement: it
trusts the syntax and remembers the places. It does not recurse, and gives up early on texts that would cost a
parser its stack, or (``tomllib`` is quadratic in the parts of a dotted key) all memory.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from typing import NamedTuple

MAX_DEPTH = 16
"""How deep tables, arrays and dotted keys may nest."""

MAX_PLACES = 50_000
"""How many keys and values one text may have."""

KeyPath = tuple[str | int, ...]


class Place(NamedTuple):
    """A line and a column, both counted from 1; columns count characters."""

    line: int
    column: int


_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\n]*'""")
_SCALAR = re.compile(
    r'''"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3,5}'''
    r"""|'{3}(?:(?!''').)*'{3,5}"""
    r'''|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'''
    r"""|'[^'\n]*'"""
    r"""|[^"'\[\]{},#\s][^,\]}#\n]*""",
    re.DOTALL,
)


class _Lost(Exception):
    """The text is not TOML from here on: what was found so far stands."""


class Positions:
    """The places of one text.

    ``too_much`` is set where the scan gave up: what there is too much of, and where.
    """

    def __init__(self, text: str) -> None:
        self.too_much: tuple[str, Place] | None = None
        self._text = text
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]
        self._keys: dict[KeyPath, int] = {}
        self._values: dict[KeyPath, int] = {}
        self._at = 0
        with suppress(_Lost):
            self._scan()

    def place(self, offset: int) -> Place:
        """Return the line and column of a character of the text."""
        line = bisect_right(self._lines, offset)
        return Place(line, offset - self._lines[line - 1] + 1)

    def key(self, path: KeyPath) -> Place:
        """Return where the key at ``path`` is written, or the nearest thing around it that is."""
        return self._nearest(path, self._keys, self._values)

    def value(self, path: KeyPath) -> Place:
        """Return where the value at ``path`` begins, or the nearest thing around it that is written."""
        return self._nearest(path, self._values, self._keys)

    def value_text(self, path: KeyPath) -> str:
        """Return the text from the value at ``path`` to the end of its first line."""
        line, column = self.value(path)
        end = self._lines[line] if line < len(self._lines) else len(self._text)
        return self._text[self._lines[line - 1] + column - 1 : end]

    def paths(self) -> list[KeyPath]:
        """Return the path of every value that was found, tables and elements included, in file order."""
        found = {**self._keys, **self._values}
        return sorted(found, key=lambda path: (found[path], len(path)))

    def _nearest(self, path: KeyPath, first: dict[KeyPath, int], second: dict[KeyPath, int]) -> Place:
        while path:
            offset = first.get(path, second.get(path))
            if offset is not None:
                return self.place(offset)
            path = path[:-1]
        return Place(1, 1)

    def _scan(self) -> None:
        table: KeyPath = ()
        counts: dict[KeyPath, int] = {}
        while self._skip(_BLANK) < len(self._text):
            start = self._at
            if self._take("[["):
                path = self._dotted((), counts)
                self._expect("]]")
                counts[path] = counts.get(path, 0) + 1
                self._values.setdefault(path, start)
                table = (*path, counts[path] - 1)
                self._put(self._keys, table, start)
            elif self._take("["):
                table = self._dotted((), counts)
                self._expect("]")
            else:
                path = self._dotted(table, {})
                self._expect("=")
                self._skip(_SPACE)
                self._value(path)
                continue
            self._values.setdefault(table, start)

    def _value(self, path: KeyPath) -> None:
        """Pass over one value; ``around`` are the arrays (and their lengths so far) and tables still open."""
        around: list[tuple[KeyPath, int | None]] = []
        while True:
            self._put(self._values, path, self._at)
            if self._take("["):
                around.append((path, 0))
            elif self._take("{"):
                around.append((path, None))
            else:
                self._match(_SCALAR)
            while True:
                if not around:
                    return
                self._skip(_BLANK)
                if self._take("]") or self._take("}"):
                    around.pop()
                elif not self._take(","):
                    break
            outer, length = around[-1]
            if length is None:
                path = self._dotted(outer, {})
                self._expect("=")
                self._skip(_BLANK)
            else:
                path = (*outer, length)
                around[-1] = (outer, length + 1)

    def _dotted(self, path: KeyPath, counts: dict[KeyPath, int]) -> KeyPath:
        """Read a key such as ``a."b".c`` below ``path``; inside an array of tables it means the last one."""
        while True:
            self._skip(_SPACE)
            if path in counts:
                path = (*path, counts[path] - 1)
            start = self._at
            path = (*path, _unquoted(self._match(_KEY)))
            self._put(self._keys, path, start, again=False)
            self._skip(_SPACE)
            if not self._take("."):
                return path

    def _put(self, places: dict[KeyPath, int], path: KeyPath, offset: int, *, again: bool = True) -> None:
        if len(path) > MAX_DEPTH:
            self._give_up(f"nests more than {MAX_DEPTH} deep", offset)
        if len(self._keys) + len(self._values) >= MAX_PLACES:
            self._give_up(f"has more than {MAX_PLACES:,} keys and values", offset)
        if again or path not in places:
            places[path] = offset

    def _give_up(self, what: str, offset: int) -> None:
        self.too_much = (what, self.place(offset))
        raise _Lost

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return self._at

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _Lost
        self._at = found.end()
        return found.group()

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _expect(self, sign: str) -> None:
        self._skip(_SPACE)
        if not self._take(sign):
            raise _Lost


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] == '"':
        try:
            return str(tomllib.loads(f"key = {key}")["key"])
        except tomllib.TOMLDecodeError:
            raise _Lost from None
    return key
