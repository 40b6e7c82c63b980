"""Reading the values of a mapping file: where they are taken from, what they are multiplied by, when a rule applies.

The message of every error names the key, as it stands in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from capsound.amounts import Amount, as_amount, as_ratio
from capsound.errors import EXIT_BAD_INPUT, BadAmount, CapsoundError, nearest
from capsound_checker.audit.shapes import PARENT
from capsound_checker.audit.times import UNITS, moment, span_of
from capsound_checker.audit.values import (
    ROUNDING,
    Field,
    Get,
    Record,
    among,
    as_name,
    as_whole,
    first_of,
    look,
    or_default,
    shown,
    summed,
)
from capsound_checker.intake.limits import TooMuch, cut, exact

SHAPES = ("field", "value", "join", "sum")

Condition = Callable[[Record], bool]


class BadMapping(CapsoundError):
    """A mapping file that cannot be used; the message names the key, ``where`` the file, the hint the cure."""

    name = "bad-mapping"
    exit_status = EXIT_BAD_INPUT


@dataclass(slots=True)
class ValueReader:
    """Reads what stands for a value in a mapping file at ``path``."""

    path: str
    named: dict[str, Any] = field(default_factory=dict)
    """The values that have a name: ``"$name"`` stands for one."""
    unit: int | None = None
    """The unit of times that are numbers, in nanoseconds; None: as they are."""
    units: bool = False
    """Whether a unit of time was told: all times are nanoseconds then."""
    amounts: list[Field] = field(default_factory=list)
    """The fields of all amounts, as they are met."""
    nested: bool = False
    """Whether a path leads to what encloses a record."""

    def error(self, key: str, message: str, hint: str = "") -> BadMapping:
        """Return an error about a key."""
        return BadMapping(f"{cut(key, 80)}: {cut(message)}", where=self.path, hint=cut(hint))

    def conditions(self, data: object, key: str) -> tuple[Condition, ...]:
        """Return what has to hold of a record: a table of paths and values, or one of several tables."""
        if isinstance(data, list) and data:
            tables = [self.conditions(one, f"{key}[{number}]") for number, one in enumerate(data, 1)]
            return (lambda record: any(all(holds(record) for holds in one) for one in tables),)
        if not isinstance(data, dict):
            raise self.error(key, f"{shown(data)} is no table", 'write: when = { "a/field" = "a value" }')
        return tuple(self.condition(path, wanted, f"{key}.{path}") for path, wanted in data.items())

    def condition(self, path: str, wanted: object, key: str) -> Callable[[Record], bool]:
        """Return what has to hold at one path."""
        parts = tuple(path.split("/"))
        self.nested = self.nested or PARENT in parts
        if isinstance(wanted, dict):
            self.only(wanted, ("present", "not"), key)
            if len(wanted) != 1:
                raise self.error(key, "says two things at once", "give either `present` or `not`")
            if "present" in wanted:
                if not isinstance(wanted["present"], bool):
                    raise self.error(f"{key}.present", f"{shown(wanted['present'])} is not true or false")
                return lambda record: (look(record, parts) is not None) is wanted["present"]
            unwanted = self.choices(wanted["not"], f"{key}.not")
            return lambda record: not among(look(record, parts), unwanted)
        choices = self.choices(wanted, key)
        return lambda record: among(look(record, parts), choices)

    def choices(self, wanted: object, key: str) -> list[object]:
        """Return the values with which a condition compares."""
        choices = wanted if isinstance(wanted, list) else [wanted]
        if not choices or not all(isinstance(c, str | int | bool | Decimal) for c in choices):
            raise self.error(
                key, f"{shown(wanted)} cannot be compared with", "a text, a number, true, false, or a list"
            )
        return choices

    def resolved(self, spec: object, key: str) -> object:
        """Return a value that has a name in its place; a text is a path."""
        if isinstance(spec, str) and spec.startswith("$"):
            if spec[1:] not in self.named:
                raise self.error(key, f"there is no value {shown(spec)}", nearest(spec[1:], list(self.named)))
            spec = self.named[spec[1:]]
        return {"field": spec} if isinstance(spec, str) else spec

    def value(self, spec: object, key: str, number: bool | None, *, part: bool = False) -> Get:
        """Return how to get a value: a number, a name (or ``part`` of one), or (``None``) a time or what is there."""
        spec = self.resolved(spec, key)
        more = ("scale", "round") if number else ("unit", "plus", "minus") if number is None else ()
        table = self.table(spec, key, (*SHAPES, "default", "separator", *more))
        shapes = [shape for shape in SHAPES if shape in table]
        if len(shapes) != 1:
            raise self.error(key, f"has {len(shapes)} of: {', '.join(SHAPES)}", "give exactly one of them")
        get = self.shape(shapes[0], table, key, number)
        if number is None:
            get = self.time(get, table, key)
        if "default" in table:
            get = or_default(get, self.constant(table["default"], f"{key}.default"))
        if not number:
            return get if number is None else as_name(get, part=part)
        return as_whole(get, self.scale(table.get("scale", 1), key), self.rounding(table.get("round", "exact"), key))

    def time(self, get: Get, table: dict[str, Any], key: str) -> Get:
        """Return how to get a time: a number in its unit, a length of time before or after what is there."""
        unit = self.time_unit(table["unit"], f"{key}.unit") if "unit" in table else self.unit
        sides = []
        for name, sign in (("plus", 1), ("minus", -1)):
            if name in table:
                part = self.table(table[name], f"{key}.{name}", ("field", "unit"))
                self.all_of(("field", "unit"), part, f"{key}.{name}")
                length = first_of(self.place(part["field"], f"{key}.{name}"))
                sides.append((sign, length, self.time_unit(part["unit"], f"{key}.{name}.unit")))
        if unit is None and sides:
            raise self.error(f"{key}.unit", "is missing", "say in which unit the time is: s, ms, us or ns")
        if unit is None:
            return get

        def time(record: Record) -> object:
            raw = get(record)
            when = moment(raw, unit)
            for sign, length, scale in sides:
                taken = span_of(length(record), scale)
                if when is None or taken is None:
                    return {"time": shown(raw)} if when is None else {"length": shown(length(record))}
                when += sign * taken
            return raw if when is None else when

        return time

    def time_unit(self, value: object, key: str) -> int:
        """Return a unit of time, in nanoseconds."""
        self.units = True
        if not isinstance(value, str) or value not in UNITS:
            raise self.error(key, f"{shown(value)} is no unit of time", f"one of: {', '.join(UNITS)}")
        return UNITS[value]

    def all_of(self, names: Iterable[str], table: dict[str, Any], key: str) -> None:
        """Raise ``BadMapping`` where a table lacks one of these."""
        for name in names:
            if name not in table:
                raise self.error(f"{key}.{name}", "is missing", f"give all of: {', '.join(names)}")

    def shape(self, shape: str, table: dict[str, Any], key: str, number: bool | None) -> Get:
        """Return how to get what a table says, before any modifier."""
        given = table[shape]
        if shape == "value":
            constant = self.constant(given, f"{key}.value")
            return lambda _record: constant
        if shape == "field":
            where = self.place(given, key)
            if number:
                self.amounts.append(where)
            return first_of(where)
        if not isinstance(given, list) or not given:
            raise self.error(f"{key}.{shape}", f"{shown(given)} is no list of values", "list fields or tables")
        added = shape == "sum"
        parts = [self.value(one, f"{key}.{shape}[{n}]", added, part=not added) for n, one in enumerate(given, 1)]
        if shape == "sum":
            if not number:
                raise self.error(f"{key}.sum", "is for amounts", "a name is made of several fields by `join`")
            return summed(parts)
        separator = self.text(table.get("separator", "/"), f"{key}.separator")
        return lambda record: separator.join(str(part(record)) for part in parts)

    def place(self, given: object, key: str) -> Field:
        """Return a place in a record."""
        names = [given] if isinstance(given, str) else given
        paths = tuple(tuple(name.split("/")) for name in self.texts(names, f"{key}.field"))
        if not paths:
            raise self.error(f"{key}.field", "names no field", 'write: field = "a/b", or a list of them')
        self.nested = self.nested or any(PARENT in path for path in paths)
        return Field(key, paths)

    def constant(self, value: object, key: str) -> object:
        """Return a text or a number that stands in the mapping itself."""
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise self.error(key, f"{shown(value)} is no text and no number")
        return value

    def scale(self, value: object, key: str) -> Fraction:
        """Return by what an amount is multiplied."""
        try:
            for part in str(value).split("/"):
                exact(part)
            ratio = as_ratio(value)
        except TooMuch as error:
            raise self.error(f"{key}.scale", str(error), "for example 1000000 for dollars to micro-dollars") from None
        except BadAmount as error:
            raise self.error(
                f"{key}.scale", error.message, "for example 1000000 for dollars to micro-dollars"
            ) from None
        if not ratio:
            raise self.error(f"{key}.scale", "0 makes every amount 0")
        return ratio

    def rounding(self, value: object, key: str) -> Callable[[Fraction], int] | None:
        """Return how an amount is rounded; None where it has to be whole."""
        if value == "exact":
            return None
        if not isinstance(value, str) or value not in ROUNDING:
            raise self.error(f"{key}.round", f"{shown(value)} is no way to round", "one of: exact, up, down")
        return ROUNDING[value]

    def table(self, data: object, key: str, known: Iterable[str]) -> dict[str, Any]:
        """Return a table with known keys."""
        if not isinstance(data, dict):
            raise self.error(key, f"{shown(data)} is no table")
        self.only(data, known, key)
        return data

    def only(self, data: dict[str, Any], known: Iterable[str], key: str) -> None:
        """Raise ``BadMapping`` for a key that is not known."""
        names = list(known)
        if extra := sorted(set(data) - set(names)):
            raise self.error(".".join(filter(None, (key, extra[0]))), "there is no such key", nearest(extra[0], names))

    def text(self, value: object, key: str) -> str:
        """Return a text."""
        if not isinstance(value, str):
            raise self.error(key, f"{shown(value)} is no text")
        return value

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, f"{shown(value)} is no list of texts")
        return tuple(value)

    def amount(self, value: object, key: str) -> Amount:
        """Return an amount."""
        try:
            return as_amount(value)
        except BadAmount as error:
            raise self.error(key, error.message, error.hint) from None
