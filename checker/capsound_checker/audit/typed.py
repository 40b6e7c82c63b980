"""Lines of our own vocabulary, read by a decoder that knows its events: for lines that are as they should be.

msgspec reads a line into an object with the fields of the event, at a fifth of the cost of ``json``, and many lines at
once at a tenth. It is trusted where all fields are known, of their type, and within the limits: what it reads is then
what ``json`` reads, duplicate fields included. Every other line it refuses, and the careful reader says what is wrong
with it (``Records``). Without msgspec the careful reader reads all of them; the report is the same.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any

from capsound.events import EVENT_TYPES
from capsound.monitor_lane import Block, Kinds
from capsound_checker.intake.limits import NAME, check_data
from capsound_checker.intake.lines import cut_lines, decoded

BESIDE = ("at", "seq", "v", "model")
"""What a line may have beside the fields of its event."""

SHORT, LONG = 200, 500
"""Up to how many characters a line is read alone without any check, and with one of its numbers."""

_MOST = 1 << 62
"""Numbers beyond it, in either direction, are read by the careful reader."""

_TRIES = 16
"""How many blocks in a row may have a line that is read by itself, before all are."""

_ALIKE = 10

_NUMBERS = frozenset({"amount", "cap", *(f.name for f in fields(EVENT_TYPES["observe"]))} - {"account"})
_LEFT = frozenset({"stall", "reset"})
"""Kinds with a field that is a list."""


@dataclass(frozen=True, slots=True)
class _Decoder:
    """How bytes become the events of ``kinds``."""

    kinds: Kinds
    read: Callable[[bytes | str], Any]
    """Of one line."""
    many: Callable[[bytes], list[Any]]
    """Of all lines."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads the lines of a log in blocks: without what may stand beside an event, as long as nothing does."""

    plain: _Decoder
    beside: _Decoder
    alone: _Decoder
    """For lines that are read by themselves: beyond the limits, it is the careful reader who says so."""
    wrong: tuple[type[Exception], ...]

    def blocks(self, source: Iterable[bytes | list[str]], line: int, *, beside: bool) -> Iterator[Block]:
        """Yield the events of blocks of lines, the first of which comes after ``line``."""
        failed = 0
        for raw in source:
            events: list[Any] | None = None
            how = self.beside if beside else self.plain
            if failed < _TRIES:
                data = raw if isinstance(raw, bytes) else _joined(raw)
                if count := _objects(data):
                    events = self._many(how, data, count)
                    if events is None and not beside:
                        how = self.beside
                        events = self._many(how, data, count)
                        beside = events is not None
                failed = 0 if events is not None else failed + 1
            if events is not None:
                yield Block(line, events, (), how.kinds)
                line += len(events)
            else:
                texts = list(cut_lines(decoded(raw))) if isinstance(raw, bytes) else raw
                yield Block(line, self._each(texts), texts, self.alone.kinds)
                line += len(texts)

    def _many(self, how: _Decoder, data: bytes, count: int) -> list[Any] | None:
        try:
            events = how.many(data)
        except self.wrong:
            return None
        return events if len(events) == count else None

    def _each(self, texts: list[str]) -> Iterator[Any]:
        read, wrong = self.alone.read, self.wrong
        for text in texts:
            size = len(text)
            event = None
            if size <= LONG:
                with suppress(*wrong):
                    found = read(text)
                    if size > SHORT:
                        check_data([getattr(found, name) for name in found.__struct_fields__])
                    event = found
            yield event


def _joined(lines: list[str]) -> bytes:
    try:
        return "".join(lines).encode()
    except (UnicodeEncodeError, TypeError):  # the latter: no text, but what stands for one
        return b""


def _objects(data: bytes) -> int:
    """Return how many lines there are, if each of them begins and ends like an object; else 0.

    No event has an object in it, and no text an end of line: so what is read of so many events has one on each line.
    """
    count = data.count(b"\n")
    if not count or not data.startswith(b"{") or not data.endswith(b"}\n"):
        return 0
    # A longer text is found faster, and most logs begin every line in the same way.
    alike = data.count(b"}\n" + data[:_ALIKE]) == count - 1
    return count if alike or data.count(b"}\n{") == count - 1 else 0


@cache
def reading() -> Reading | None:
    """Return how lines are read by their types; None where msgspec is not installed."""
    try:
        msgspec = importlib.import_module("msgspec")
    except ImportError:
        return None
    wrong = (msgspec.DecodeError, ValueError, RecursionError, TypeError)  # the last: no text, but what stands for one
    integer: Any = Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]
    name: Any = Annotated[str, msgspec.Meta(max_length=NAME)]
    told: dict[str, Any] = {"at": name | integer | float, "seq": integer | float, "v": name | integer | float}
    free = {"at": str | int | float, "seq": int | float, "v": str | int | float}
    return Reading(
        _decoder(msgspec, name, integer, {}),
        _decoder(msgspec, name, integer, told | {"model": name}),
        _decoder(msgspec, str, int, free | {"model": str}),
        wrong,
    )


def _decoder(msgspec: Any, name: Any, number: Any, beside: dict[str, Any]) -> _Decoder:
    """Return how events are read: 1.0 is no amount, and what a line has not is None, which no null is."""
    types: dict[str, Any] = {}
    for kind, event in EVENT_TYPES.items():
        if kind in _LEFT:
            continue
        own: list[Any] = []
        for field in fields(event):
            of = number if field.name in _NUMBERS else name
            own.append((field.name, of) if field.default is MISSING else (field.name, of, None))
        types[kind] = msgspec.defstruct(
            kind,
            [*own, *((one, of, None) for one, of in beside.items())],
            tag_field="event",
            tag=kind,
            forbid_unknown_fields=True,
            gc=False,
            kw_only=True,
        )
    every: Any = None
    for one in types.values():
        every = one if every is None else every | one
    decoder = msgspec.json.Decoder(every)
    kinds = Kinds(types["reserve"], types["send"], types["bill"], types["settle"], bool(beside))
    return _Decoder(kinds, decoder.decode, decoder.decode_lines)


def as_data(event: Any) -> dict[str, Any]:
    """Return what was read as the data of an event, without what stood beside it."""
    data: dict[str, Any] = {"event": type(event).__name__}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if value is not None and name not in BESIDE:
            data[name] = value
    return data


def model_of(event: Any) -> str:
    """Return the model that stands beside what was read; an empty text where there is none."""
    return getattr(event, "model", None) or ""
