"""What makes a log less than a witness: each kind has a name, is counted, and is told with its first line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from capsound_checker.audit.shapes import PARENT
from capsound_checker.audit.values import Field, look

if TYPE_CHECKING:
    from capsound_checker.audit.rules import LogMapping, Made

KINDS: dict[str, tuple[str, str]] = {
    "truncated": ("line cut off in the middle, as after a crash", "lines cut off in the middle"),
    "clock": ("time goes backwards", "times go backwards"),
    "no-time": ("unreadable time (not a number, not ISO 8601)", "unreadable times (not a number, not ISO 8601)"),
    "backwards": ("record ends before it begins", "records end before they begin"),
    "seq-gap": ("gap in `seq`: lines are missing", "gaps in `seq`: lines are missing"),
    "seq-order": ("`seq` repeats or goes back", "`seq` repeat or go back"),
    "no-seq": ("`seq` is not a whole number", "`seq` are not whole numbers"),
    "unknown-handle": (
        "event is about a hold or a call that is no longer known",
        "events are about holds or calls that are no longer known",
    ),
    "late": (
        "record is older than the window of the mapping: taken out of order",
        "records are older than the window of the mapping: taken out of order",
    ),
    "lost": (
        "part of the log was replaced before it was read: lines may be missing",
        "parts of the log were replaced before they were read: lines may be missing",
    ),
    "skipped": ("unusable line or record left out", "unusable lines or records left out"),
    "left-out": (
        "record has usage, names a model or lost attributes, but no rule of the mapping covers it",
        "records have usage, name a model or lost attributes, but no rule of the mapping covers them",
    ),
    "sampled": (
        "record says that a sampler has dropped others, which may have been billed",
        "records say that a sampler has dropped others, which may have been billed",
    ),
    "chosen": (
        "set of trace identifiers looks chosen by a sampler: what it dropped may have been billed",
        "sets of trace identifiers look chosen by a sampler: what it dropped may have been billed",
    ),
    "contradiction": ("record contradicts itself", "records contradict themselves"),
    "path": ("field of the mapping never occurs", "fields of the mapping never occur"),
    "repeats-more": (
        "summary claims more usage than its requests",
        "summaries claim more usage than their requests",
    ),
    "sums-more": (
        "summary claims more usage than its requests: added to the upper end only",
        "summaries claim more usage than their requests: added to the upper end only",
    ),
    "unpriced": ("call has no known price", "calls have no known price"),
    "retries": (
        "call may have been billed more than once: its record does not tell how often the client sent the request. Set "
        "the retries of the client to 0; if there were none, give --assume A10",
        "calls may have been billed more than once: their records do not tell how often the client sent the requests. "
        "Set the retries of the client to 0; if there were none, give --assume A10",
    ),
    "credit": (
        "credit not subtracted: what was given back had been billed before",
        "credits not subtracted: what was given back had been billed before",
    ),
    "told-twice": (
        "record may describe a call that was already counted: added to the upper end only",
        "records may describe calls that were already counted: added to the upper end only",
    ),
    "repeated": ("duplicate record ignored", "duplicate records ignored"),
}
"""Every kind: what is said of one, and of several."""

DOUBTS = frozenset(KINDS) - {"clock", "seq-order", "no-seq", "told-twice", "sums-more", "repeated", "credit"}
"""After these a log is known not to tell everything, or not the truth: what was not found in it is no evidence.

``told-twice`` and ``sums-more`` are not among them, since they are counted where it matters, at the upper end.
"""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something about the log itself: how often, and where first. ``detail`` is about the first one."""

    name: str
    count: int
    line: int
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The warning in words."""
        where = f"{'first in ' if self.count > 1 else ''}line {self.line:,}"
        tail = f": {self.detail}" if self.detail else ""
        return f"{self.count:,} {KINDS[self.name][self.count > 1]} ({where}{tail})"


# ------------------------------------------------------------------------- what a mapping leaves out

_USAGE = re.compile(r"usage|token|cost|price|usd|spend|billed", re.IGNORECASE)
_MODEL = re.compile(r"model", re.IGNORECASE)
_DROPPED = re.compile(r"dropped_?attributes(_?count)?", re.IGNORECASE)
_METRIC = re.compile(r"^(gen_ai|llm)\..*(usage|token|cost)", re.IGNORECASE)
_DEEP = 16
"""How far down a record is searched for usage: lists in lists, attributes, and what is in them."""


def carries_usage(record: Mapping[str, Any], amounts: tuple[Field, ...], *, models: bool) -> str:
    """Return the path at which a record says what a call used, or (``models``) which model; empty where it does not.

    ``amounts`` are fields from which the mapping takes amounts: a number there is usage, whatever its name. With
    ``models``, the path may also be the one at which it says that attributes were dropped: OpenTelemetry keeps 128 of a
    span, the first in JavaScript and the last in Python, and a long chat has more. Usage may have been among the rest.
    """
    for place in amounts:
        for path in place.paths:
            if _counts(look(record, path)):
                return "/".join(path)
    found = _search(record, models, (), usage=False, model=False)
    if models and not found:
        return next((key for key, value in record.items() if _DROPPED.fullmatch(key) and _counts(value)), "")
    return found


def _search(value: Mapping[str, Any], models: bool, at: tuple[str, ...], usage: bool, model: bool) -> str:
    for key, inner in value.items():
        if key == PARENT:
            continue
        path = (*at, key)
        used, modelled = usage or bool(_USAGE.search(key)), model or bool(_MODEL.search(key))
        if isinstance(inner, dict):
            inside: list[Any] = [inner]
        elif isinstance(inner, list):
            inside = [_pair(item) for item in inner]
        elif (
            (used and _counts(inner))
            or (models and modelled and isinstance(inner, str) and inner)
            or (key == "name" and isinstance(inner, str) and _METRIC.search(inner))
        ):
            return "/".join(path)
        else:
            continue
        for item in inside if len(path) < _DEEP else ():
            if isinstance(item, dict) and (found := _search(item, models, path, used, modelled)):
                return found
    return ""


_SOUND = re.compile(r"audio", re.IGNORECASE)
_OF_USAGE = re.compile(r"token|usage|modality", re.IGNORECASE)


def audio_tokens(record: Mapping[str, Any]) -> str:
    """Return the path at which a record tells of audio that was used, which no price of text is for; empty if none."""
    return _sound(record, (), usage=False, sound=False)


def _sound(value: Mapping[str, Any], at: tuple[str, ...], *, usage: bool, sound: bool) -> str:
    for key, inner in value.items():
        if key == PARENT:
            continue
        used, heard = usage or bool(_OF_USAGE.search(key)), sound or bool(_SOUND.search(key))
        if isinstance(inner, dict):
            inside: list[Any] = [inner]
        elif isinstance(inner, list):
            inside = [_pair(item) for item in inner]
        else:
            if used and heard and _counts(inner):
                return "/".join((*at, key))
            continue
        for item in inside if len(at) < _DEEP else ():
            if isinstance(item, dict) and (found := _sound(item, (*at, key), usage=used, sound=heard)):
                return found
    return ""


def _pair(item: Any) -> Any:
    """Return an attribute of OTLP, which is written as a key and a value, as a table of one."""
    return {item["key"]: item.get("value")} if isinstance(item, dict) and isinstance(item.get("key"), str) else item


def _counts(value: object) -> bool:
    """Return whether a value is a number above nothing, or a text that is one."""
    if isinstance(value, str) and value[:1] in ("{", "["):  # a document in a text
        return any(c in "123456789" for c in value)
    if isinstance(value, str):
        return len(value) < 40 and any(c in "123456789" for c in value) and not value.strip("0123456789.+eE ")
    return not isinstance(value, bool | dict | list) and value is not None and value != 0


# --------------------------------------------------------------------- what is in no record


@dataclass(slots=True)
class Unseen:
    """The fields of a mapping that no record had so far, of the records that they are taken from."""

    SET_UP: ClassVar[frozenset[str]] = frozenset({"mapping", "numbers"})

    mapping: LogMapping
    left: dict[int, list[Field]] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    numbers: dict[int, int] = field(init=False)
    """Which rule of the mapping one is."""

    def __post_init__(self) -> None:
        self.numbers = {id(rule): number for number, rule in enumerate(self.mapping.rules)}

    def look(self, made: Made, line: int) -> None:
        """Note which fields a record has."""
        rule = made.rule
        if rule is None or not rule.expected:
            return
        number = self.numbers[id(rule)]
        left = self.left.get(number)
        if left is None:
            left = self.left[number] = list(rule.expected)
            self.first[number] = line
        if left and made.facts is not None:
            seen = [rule.expected[place] for place in made.facts.seen]
            left[:] = [place for place in left if place not in seen]
        elif left:
            left[:] = [place for place in left if not place.within(made.record)]

    def fresh(self, made: Made) -> tuple[int, ...]:
        """Return which of the fields that are expected of a record it has, of those that none had before."""
        rule = made.rule
        if rule is None or not rule.expected:
            return ()
        left = self.left.setdefault(self.numbers[id(rule)], list(rule.expected))
        found = [place for place in left if place.within(made.record)]
        for place in found:
            left.remove(place)
        return tuple(rule.expected.index(place) for place in found)

    def missing(self) -> list[tuple[int, Field]]:
        """Return the fields that were in none, with the line of the first record that a rule took."""
        said = [(self.first[key], place) for key, left in self.left.items() for place in left]
        seen: set[tuple[tuple[str, ...], ...]] = set()
        return [pair for pair in said if not (pair[1].paths in seen or seen.add(pair[1].paths))]  # type: ignore[func-returns-value]
