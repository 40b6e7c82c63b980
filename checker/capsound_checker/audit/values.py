"""How a mapping gets a value out of a record: from a path, of several, as a name or as an exact number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.intake.limits import NAME, TooMuch, cut, exact

Record = Mapping[str, Any]
Get = Callable[[Record], object]

UNBOUNDED = "unbounded"
"""What a mapping writes for an amount that has no upper end."""

ROUNDING: dict[str, Callable[[Fraction], int]] = {"up": math.ceil, "down": math.floor}


class BadRecord(CapsoundError):
    """A record of a foreign log that a mapping cannot turn into events."""

    name = "bad-record"
    exit_status = EXIT_BAD_INPUT


class Absent(Exception):
    """There is nothing at the paths that a value is taken from."""


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a record that may be empty: the first of its ``paths`` that is not counts."""

    key: str
    """Where it stands in the mapping."""
    paths: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """The paths as they are written."""
        return " or ".join(repr("/".join(path)) for path in self.paths)

    def __str__(self) -> str:
        return self.text

    def within(self, record: Record) -> bool:
        """Return whether one of the paths leads to something."""
        return any(look(record, path) is not None for path in self.paths)


def look(record: Record, parts: tuple[str, ...]) -> object:
    """Return the value at a path, None where there is none: a null is nothing, too."""
    value: object = record
    for part in parts:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def among(value: object, choices: list[object]) -> bool:
    """Return whether a value is one of the choices of a condition: ``True`` is not 1, though Python says so."""
    return any(value == choice and isinstance(value, bool) is isinstance(choice, bool) for choice in choices)


# ----------------------------------------------------------------------------------------------- values


def first_of(field: Field) -> Get:
    """Return how to get what is at the first path that leads to something; ``Absent`` where none does."""
    paths = field.paths

    def get(record: Record) -> object:
        for parts in paths:
            if (value := look(record, parts)) is not None:
                return value
        raise Absent(field)  # in words only where they are needed

    return get


def or_default(get: Get, default: object) -> Get:
    """Return ``get``, with a value for records where it finds nothing."""

    def with_default(record: Record) -> object:
        try:
            return get(record)
        except Absent:
            return default

    return with_default


def as_name(get: Get, *, part: bool = False) -> Get:
    """Return ``get`` for a name: a text, or a whole number as a text; a truth, too, where it is a ``part`` of one."""

    def name(record: Record) -> object:
        value = get(record)
        if part and isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= NAME:
            return str(value)
        if not isinstance(value, str):
            raise BadRecord(f"{shown(value)} is not a name", hint="map a field that holds a text or a whole number")
        if len(value) > NAME:
            raise BadRecord(f"{cut(value, 40)} is too long for a name", hint=f"a name has at most {NAME} characters")
        return value

    return name


_FAST = 1 << 64
"""A whole number below it is within every limit."""


def as_whole(get: Get, scale: Fraction, rounding: Callable[[Fraction], int] | None) -> Get:
    """Return ``get`` for an amount: a whole number of units after ``scale``, None where it has no upper end."""
    plain = scale == 1

    def whole(record: Record) -> object:
        raw = get(record)
        if plain and type(raw) is int and -_FAST < raw < _FAST:
            return raw
        value = as_number(raw)
        if value is None:
            return None
        scaled = value * scale
        if scaled.denominator == 1:
            return scaled.numerator
        if rounding is not None:
            return rounding(scaled)
        raise BadRecord(
            f"{float(scaled):g} is no whole number of units",
            hint='choose a smaller unit by `scale`, or say how to round: round = "up"',
        )

    return whole


def as_number(value: object) -> Fraction | None:
    """Return a number exactly; a text that is a number counts as one, and ``UNBOUNDED`` as none at all."""
    if value is None or value == UNBOUNDED:
        return None
    if isinstance(value, Fraction):
        return value
    hint = "map a field that holds a number"
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise BadRecord(f"{shown(value)} is not a number", hint=hint)
    try:
        number = exact(value)
    except TooMuch as error:
        raise BadRecord(str(error), hint="amounts have at most 60 digits") from None
    if number is None:
        raise BadRecord(f"{shown(value)} is not a number", hint=hint)
    return Fraction(number)


def summed(parts: list[Get]) -> Get:
    """Return how to get the sum of several numbers: it has no upper end where one of them has none."""

    def total(record: Record) -> object:
        numbers = [as_number(part(record)) for part in parts]
        return None if None in numbers else sum(number for number in numbers if number is not None)

    return total


def shown(value: object) -> str:
    """Return a value from outside as it can be shown."""
    return cut(str(value) if isinstance(value, Decimal) else repr(value), 40)
