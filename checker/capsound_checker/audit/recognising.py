"""Which mapping a log is for: by what its first records have, and never by a guess between two."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from capsound.events import EVENT_TYPES
from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.mapping import load_mapping, shipped
from capsound_checker.audit.records import Records, Unusable
from capsound_checker.audit.rules import LogMapping
from capsound_checker.audit.values import BadRecord
from capsound_checker.intake.limits import DOCUMENT, cut
from capsound_checker.intake.lines import Lines

LINES = 200
"""How many lines are looked at. What comes later and is of another kind is counted by the audit itself."""

_SIZE = 4 << 20
"""How many characters of them."""

_NATIVE = ""


@dataclass(slots=True)
class Recognised:
    """The lines of a log, of which the first were looked at, and its mapping: None for our own vocabulary."""

    lines: Iterable[str]
    mapping: LogMapping | None
    of: int = 0
    """How many of the records that were looked at it is for."""
    seen: int = 0

    @property
    def note(self) -> str:
        """What was taken, in words."""
        if self.mapping is None:
            return ""
        return (
            f"recognised as {self.mapping.path} by {self.of:,} of the first {self.seen:,} records (--mapping chooses)"
        )


def recognised(lines: Iterable[str], name: str) -> Recognised:
    """Return the mapping that ships for a log, with its lines: no more of them are read ahead than is needed.

    Raises ``BadLog`` where its first records fit several mappings, naming them.
    """
    feed = iter(lines)
    head = _Head(feed)
    found, seen = _kinds(head)
    if head.interrupted:
        rest: Iterable[str] = chain(head.lines, _interrupt())
    else:
        rest = (
            Lines(chain([head.lines], lines.blocks()), lines.path)
            if isinstance(lines, Lines)
            else chain(head.lines, feed)
        )
    if not found or _NATIVE in found:
        return Recognised(rest, None)
    if len(found) > 1:
        told = ", ".join(f"{kind} ({count:,} of {seen:,} records)" for kind, count in sorted(found.items()))
        raise BadLog(f"several mappings fit: {told}", where=cut(name), hint="choose one: --mapping NAME")
    (kind, count) = next(iter(found.items()))
    return Recognised(rest, load_mapping(kind), count, seen)


@dataclass(slots=True)
class _Head:
    """The first lines of a log, as far as they were read; all of a document that is not one object a line."""

    feed: Iterator[str]
    lines: list[str] = field(default_factory=list)
    interrupted: bool = False

    def __iter__(self) -> Iterator[str]:
        size, most, count = 0, _SIZE, LINES
        try:
            for number, line in enumerate(self.feed, 1):
                self.lines.append(line)
                size += len(line)
                if number == 1 and not _whole(line):
                    most, count = DOCUMENT, DOCUMENT
                yield line
                if number >= count or size > most:
                    return
        except KeyboardInterrupt:
            self.interrupted = True


def _whole(line: str) -> bool:
    """Return whether a line is an object by itself, or blank."""
    try:
        return not line.strip() or isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _interrupt() -> Iterator[str]:
    """Interrupt whoever asks for the next line: that is what happened when it was read."""
    raise KeyboardInterrupt
    yield ""


def _kinds(head: Iterable[str]) -> tuple[dict[str, int], int]:
    """Return how many records each mapping is for, and how many there are; our own vocabulary is for all of them."""
    found: Counter[str] = Counter()
    seen = 0
    mappings: dict[str, LogMapping] = {}
    for line in Records(_nothing, lambda _told: None, True).read(head):
        if str(line.get("event")) in EVENT_TYPES:
            # Where some lines are in our vocabulary, the others are errors in it: they are named as such.
            return {_NATIVE: 1}, 1
        mappings = mappings or {kind: load_mapping(kind) for kind in shipped()}
        most = 0
        for kind, mapping in mappings.items():
            records = [one for one in mapping.prepared(line) if not isinstance(one, BadRecord)]
            most = max(most, len(records))
            found[kind] += sum(mapping.recognises(one) for one in records)
        seen += most
    return {kind: count for kind, count in found.items() if count}, seen


def _nothing(_error: Unusable) -> None:
    """Let what cannot be used be: the audit says so."""
