"""From lines to objects: one JSON object a line, or a document that spreads over several, such as an array.

What cannot be used is told to the auditor, which leaves it out or stops there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Any, ClassVar

from capsound_checker.audit.values import shown
from capsound_checker.intake.limits import DOCUMENT, LINE, NAME, TooMuch, check_size, cut
from capsound_checker.intake.lines import LongLine

WANTED = 'each line is one event as a JSON object, such as {"event": "open", "root": "root", "cap": 60}'
ONE_BY_ONE = (
    "write one object a line: `jq -c '.[]' FILE | capsound audit -` does it for an array, `jq -c .` for objects"
)

_GAP = re.compile(r"[\s,\ufeff]*")


class Unusable(Exception):
    """A line or a record that cannot be used, and why."""

    def __init__(self, message: str, hint: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.cause = message, hint, cause


@dataclass(slots=True)
class Records:
    """The objects of a log. ``line`` is the number of the line of the latest one.

    ``unusable`` is called with what cannot be used, ``truncated`` with the reason where the last line is cut.
    """

    SET_UP: ClassVar[frozenset[str]] = frozenset({"unusable", "truncated", "exact", "_decoder"})

    unusable: Callable[[Unusable], None]
    truncated: Callable[[str], None]
    exact: bool
    """Whether numbers with decimals are kept exactly: only where a mapping converts them."""
    line: int = 0
    whole: bool = False
    """Whether a line before this one had an end: a last line without one may then be cut off."""
    _in_document: int = 0
    _decoder: json.JSONDecoder = field(init=False)

    def __post_init__(self) -> None:
        self._decoder = json.JSONDecoder(parse_float=Decimal if self.exact else None)

    @property
    def lines(self) -> int:
        """How many lines were read."""
        return max(self.line, self._in_document)

    @property
    def in_document(self) -> bool:
        """Whether the log is one document: its objects have no lines of their own."""
        return self._in_document > 0

    def read(self, source: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the objects of a log; ``line`` is then the number of the line."""
        return self.numbered(enumerate(source, self.line + 1))

    def numbered(self, lines: Iterator[tuple[int, str]]) -> Iterator[dict[str, Any]]:
        """Yield the objects of lines that have their numbers."""
        decode = self._decoder.raw_decode
        data: Any = None
        self.whole = self.whole or self.line > 0
        for number, text in lines:
            self.line = number
            try:
                data, end = decode(text)
                plain = type(data) is dict and (end >= len(text) - 1 or not text[end:].strip())
            except (ValueError, ArithmeticError, RecursionError):
                plain = False
            if plain and len(text) <= 200:
                self.whole = self.whole or text[-1:] == "\n"
                yield data
            else:
                yield from self.one(text, (text for _, text in lines))

    def one(self, text: str, rest: Iterator[str]) -> Iterator[dict[str, Any]]:
        """Yield the object of a line, whatever is odd about it; all of a document that begins in it, up to the end."""
        decoder = self._decoder
        data: Any = None
        try:
            data, end = decoder.raw_decode(text)
            plain = type(data) is dict and (end >= len(text) - 1 or not text[end:].strip())
        except (ValueError, ArithmeticError, RecursionError):
            plain = False
        if plain:
            if len(text) > 200 and not self._within(text, data):
                return
        elif not text.strip():
            return
        elif not self.whole and _opens_document(text, decoder):
            yield from self._document(text, rest, decoder)
            return
        else:
            data = self._odd(text, decoder, self.whole)
        self.whole = self.whole or text[-1:] == "\n"
        if data is not None:
            yield data

    def _fits(self, text: str, data: Any) -> None:
        """Raise ``TooMuch`` for data beyond a limit; our own vocabulary has names and amounts alone."""
        check_size(text, data)
        if not self.exact and isinstance(data, dict) and len(text) > NAME:
            for key, value in data.items():
                if len(key) > NAME or (isinstance(value, str) and len(value) > NAME):
                    raise TooMuch(f"{cut(key, 40)!r} is longer than {NAME} characters")

    def _within(self, text: str, data: Any) -> bool:
        try:
            self._fits(text, data)
        except TooMuch as error:
            self.unusable(Unusable(f"the line cannot be used: {error}", WANTED))
            return False
        return True

    def _odd(self, text: str, decoder: json.JSONDecoder, whole: bool) -> dict[str, Any] | None:
        """Return the object of a line that is not simply one; None where it has to be left out."""
        if isinstance(text, LongLine):
            self.unusable(Unusable(f"the line is longer than {LINE >> 20} MiB", ONE_BY_ONE))
            return None
        stripped = text.strip(" \t\r\n\ufeff")
        if not stripped:
            return None
        try:
            data = decoder.decode(stripped)
            self._fits(stripped, data)
        except (RecursionError, TooMuch) as error:
            told = str(error) if isinstance(error, TooMuch) else "it is nested too deeply"
            self.unusable(Unusable(f"the line cannot be used: {told}", WANTED))
            return None
        except (ValueError, ArithmeticError) as error:
            if whole and not text.endswith("\n"):
                self.truncated(cut(_told(error)))
                return None
            self.unusable(Unusable(f"the line is not JSON: {_told(error)}", WANTED))
            return None
        if not isinstance(data, dict):
            self.unusable(Unusable(f"the line is {shown(data)}, not an object", WANTED))
            return None
        return data

    # -------------------------------------------------------------------- a document of several lines

    def _document(self, first: str, rest: Iterator[str], decoder: json.JSONDecoder) -> Iterator[dict[str, Any]]:
        """Yield the objects of a document that begins in ``first``: those of an array, or one after the other."""
        before = self.line - 1
        lines = [first]
        size = len(first)
        for text in rest:
            lines.append(text)
            size += len(text)
            if size > DOCUMENT or isinstance(text, LongLine):
                self.unusable(Unusable(f"this is one JSON document of more than {DOCUMENT >> 20} MiB", ONE_BY_ONE))
                yield from self._single(chain(lines, rest), decoder)
                return
        try:
            objects = list(self._objects("".join(lines), decoder))
        except RecursionError:
            self.unusable(Unusable("the document is nested too deeply", ONE_BY_ONE))
        except (ValueError, ArithmeticError) as error:
            if len(lines) == 1:
                self._odd(first, decoder, False)
                return
            self.unusable(
                Unusable(f"the line is not JSON by itself, and the whole file is not: {_told(error)}", ONE_BY_ONE)
            )
            yield from self._single(iter(lines), decoder)
        else:
            self._in_document = before + len(lines)
            for line, data in objects:
                self.line = before + line
                if not isinstance(data, dict):
                    self.unusable(Unusable(f"a member of the array is {shown(data)}, not an object", WANTED))
                    continue
                yield data

    def _objects(self, text: str, decoder: json.JSONDecoder) -> Iterator[tuple[int, Any]]:
        """Yield the values of a document, and the members of its arrays, each with its line."""
        position, line, counted = _after_gap(text, 0), 1, 0
        while position < len(text):
            in_array = text[position] == "["
            if in_array:
                position = _after_gap(text, position + 1)
            while position < len(text):
                if in_array and text[position] == "]":
                    position = _after_gap(text, position + 1)
                    break
                line += text.count("\n", counted, position)
                counted = position
                data, end = decoder.raw_decode(text, position)
                self._fits(text[position:end], data)
                yield line, data
                position = _after_gap(text, end)
                if not in_array:
                    break
            else:
                if in_array:
                    raise json.JSONDecodeError("the array does not end", text, len(text))

    def _single(self, lines: Iterable[str], decoder: json.JSONDecoder) -> Iterator[dict[str, Any]]:
        """Yield the objects of lines of which the first was already found to be none."""
        first = self.line
        for number, text in enumerate(lines, first):
            self.line = number
            if number > first and (data := self._odd(text, decoder, True)) is not None:
                yield data


def _opens_document(text: str, decoder: json.JSONDecoder) -> bool:
    """Return whether a line is an array, or the beginning of a value that the next lines go on with."""
    stripped = text.strip(" \t\r\n\ufeff")
    if stripped[:1] not in ("[", "{") or isinstance(text, LongLine):
        return False
    try:
        data, end = decoder.raw_decode(stripped)
    except json.JSONDecodeError as error:
        return error.pos >= len(stripped)
    except (ValueError, ArithmeticError, RecursionError):
        return False
    return isinstance(data, list) and end == len(stripped)


def _after_gap(text: str, position: int) -> int:
    found = _GAP.match(text, position)
    return position if found is None else found.end()


def _told(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        return f"{error.msg} at {where}"
    if isinstance(error, TooMuch):
        return str(error)
    return "a number is out of all proportion"
