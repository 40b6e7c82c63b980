"""Mappings: how the records of a foreign log become our events (docs/audit.md).

A mapping is a TOML file. It says which records count, which events each becomes, from which fields the names and
amounts are taken, and by which exact factor amounts are converted. Numbers never pass through a float.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

from capsound.amounts import Amount, as_amount, as_ratio
from capsound.errors import EXIT_BAD_INPUT, BadAmount, CapsoundError, nearest
from capsound.events import EVENT_TYPES, TOLD

FOLDER = Path(__file__).resolve().parent / "mappings"
"""Where the mappings that ship are."""

_LARGEST = 60
"""How many digits an amount may have: a text such as 1e999999999 must not fill the memory."""

_NUMBERS = frozenset({"amount", "cap", "spent", "remaining", "held", *TOLD})
_SHAPES = ("field", "value", "join", "sum")
_ROUNDING: dict[str, Callable[[Fraction], int]] = {"up": math.ceil, "down": math.floor}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Record = Mapping[str, Any]
Get = Callable[[Record], object]


class BadMapping(CapsoundError):
    """A mapping file that cannot be used; the message names the key, ``where`` the file, the hint the cure."""

    name = "bad-mapping"
    exit_status = EXIT_BAD_INPUT


class BadRecord(CapsoundError):
    """A record of a foreign log that a mapping cannot turn into events."""

    name = "bad-record"
    exit_status = EXIT_BAD_INPUT


class _Absent(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Emit:
    """One event that a rule makes of a record."""

    kind: str
    values: tuple[tuple[str, Get, bool], ...]
    """The fields: name, how to get it, and whether it may be absent."""
    at: Get | None


@dataclass(frozen=True, slots=True)
class MappingRule:
    """Which records count, and the events that they become."""

    name: str
    when: tuple[Callable[[Record], bool], ...]
    emit: tuple[Emit, ...]


@dataclass(frozen=True, slots=True)
class LogMapping:
    """A mapping, ready for use. ``events`` turns one line, read as JSON, into events in our vocabulary."""

    path: str
    title: str = ""
    unit: str = "units"
    notes: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    root: str | None = None
    cap: Amount | None = None
    window: int | None = None
    rules: tuple[MappingRule, ...] = field(default_factory=tuple)

    def events(self, line: Record) -> Iterator[list[tuple[object, dict[str, Any]]]]:
        """Yield for each record of a line its events, each with its time or None; an empty list where no rule applies.

        Raises ``BadRecord`` where a rule applies and a field is missing or is no name or number.
        """
        for record in _records(line, self.records):
            flat = _flattened(record, self.attributes)
            rule = next((r for r in self.rules if all(holds(flat) for holds in r.when)), None)
            yield [] if rule is None else [_made(emit, flat, rule) for emit in rule.emit]


def shipped() -> list[str]:
    """Return the names of the mappings that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_mapping(name_or_path: str | Path) -> LogMapping:
    """Return a mapping that ships, by its name, or one of your own, by its path.

    Raises ``BadMapping`` for a file that cannot be read or says something that no mapping can say.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped():
        path = FOLDER / f"{name_or_path}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadMapping(
            f"cannot read the mapping: {error.strerror}",
            where=str(name_or_path),
            hint=f"give the path of a TOML file, or one that ships: {', '.join(shipped())}",
        ) from None
    except UnicodeDecodeError:
        raise BadMapping("the mapping is not UTF-8", where=str(path), hint="save it as UTF-8") from None
    return parse_mapping(text, path=str(name_or_path))


def parse_mapping(text: str, *, path: str = "mapping.toml") -> LogMapping:
    """Return the mapping that a TOML text describes; ``path`` is named in errors. Raises ``BadMapping``."""
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise BadMapping(f"not TOML: {error}", where=path, hint="see docs/audit.md for an example") from None
    return _Parser(path).mapping(data)


# -------------------------------------------------------------------------------------------- reading it


@dataclass(frozen=True, slots=True)
class _Parser:
    path: str

    def error(self, key: str, message: str, hint: str = "") -> BadMapping:
        return BadMapping(f"{key}: {message}", where=self.path, hint=hint)

    def mapping(self, data: dict[str, Any]) -> LogMapping:
        known = ("title", "unit", "notes", "records", "attributes", "open", "order", "rules")
        self.only(data, known, "")
        opened = self.table(data.get("open", {}), "open", ("root", "cap"))
        order = self.table(data.get("order", {}), "order", ("window",))
        window = order.get("window")
        if "order" in data and (type(window) is not int or window < 0):
            raise self.error(
                "order.window", f"{_said(window)} is no span of time", "a whole number, in the unit of `at`"
            )
        rules = data.get("rules")
        if not isinstance(rules, list) or not rules:
            raise self.error("rules", "there is none", "write at least one [[rules]] with one [[rules.emit]]")
        if "root" in opened and "cap" not in opened:
            raise self.error("open.cap", "is missing", "say how much the root may spend, or leave out `root`")
        return LogMapping(
            path=self.path,
            title=self.text(data.get("title", ""), "title"),
            unit=self.text(data.get("unit", "units"), "unit"),
            notes=self.texts(data.get("notes", []), "notes"),
            records=self.texts(data.get("records", []), "records"),
            attributes=self.texts(data.get("attributes", []), "attributes"),
            root=self.text(opened["root"], "open.root") if "root" in opened else None,
            cap=self.amount(opened["cap"], "open.cap") if "cap" in opened else None,
            window=window,
            rules=tuple(
                self.rule(rule, f"rules[{number}]", window is not None) for number, rule in enumerate(rules, 1)
            ),
        )

    def rule(self, data: object, key: str, ordered: bool) -> MappingRule:
        table = self.table(data, key, ("name", "when", "emit"))
        emits = table.get("emit")
        if not isinstance(emits, list):
            raise self.error(f"{key}.emit", "is missing", "write one [[rules.emit]] for each event")
        when = table.get("when", {})
        if not isinstance(when, dict):
            raise self.error(f"{key}.when", f"{_said(when)} is no table", 'write: when = { "a/field" = "a value" }')
        return MappingRule(
            name=self.text(table.get("name", key), f"{key}.name"),
            when=tuple(self.condition(path, wanted, f"{key}.when.{path}") for path, wanted in when.items()),
            emit=tuple(self.emit(emit, f"{key}.emit[{n}]", ordered) for n, emit in enumerate(emits, 1)),
        )

    def condition(self, path: str, wanted: object, key: str) -> Callable[[Record], bool]:
        parts = path.split("/")
        if isinstance(wanted, dict):
            self.only(wanted, ("present", "not"), key)
            if len(wanted) != 1:
                raise self.error(key, "says two things at once", "give either `present` or `not`")
            if "present" in wanted:
                if not isinstance(wanted["present"], bool):
                    raise self.error(f"{key}.present", f"{_said(wanted['present'])} is not true or false")
                return lambda record: (_look(record, parts) is not None) is wanted["present"]
            unwanted = self.choices(wanted["not"], f"{key}.not")
            return lambda record: not _among(_look(record, parts), unwanted)
        choices = self.choices(wanted, key)
        return lambda record: _among(_look(record, parts), choices)

    def choices(self, wanted: object, key: str) -> list[object]:
        choices = wanted if isinstance(wanted, list) else [wanted]
        if not choices or not all(isinstance(c, str | int | bool | Decimal) for c in choices):
            raise self.error(
                key, f"{_said(wanted)} cannot be compared with", "a text, a number, true, false, or a list"
            )
        return choices

    def emit(self, data: object, key: str, ordered: bool) -> Emit:
        if not isinstance(data, dict):
            raise self.error(key, f"{_said(data)} is no table", "write one [[rules.emit]] for each event")
        kind = data.get("event")
        kinds = [k for k in EVENT_TYPES if k != "stall"]
        if kind not in kinds:
            raise self.error(f"{key}.event", f"{_said(kind)} is no event", nearest(str(kind), kinds))
        wanted = {f.name: f.default is not MISSING for f in fields(EVENT_TYPES[kind])}
        self.only(data, ("event", "at", *wanted), key)
        for name, optional in wanted.items():
            if not optional and name not in data:
                raise self.error(f"{key}.{name}", "is missing", f"{kind} needs: {', '.join(_needed(wanted))}")
        if ordered and "at" not in data:
            raise self.error(f"{key}.at", "is missing", "where [order] is given, every event needs its time")
        return Emit(
            kind,
            tuple((n, self.value(data[n], f"{key}.{n}", n in _NUMBERS), wanted[n]) for n in wanted if n in data),
            self.value(data["at"], f"{key}.at", None) if "at" in data else None,
        )

    def value(self, spec: object, key: str, number: bool | None) -> Get:
        """Return how to get a value: a number, a name, or (``None``) whatever is there."""
        if isinstance(spec, str):
            spec = {"field": spec}
        modifiers = ("default", "separator", *(("scale", "round") if number else ()))
        table = self.table(spec, key, (*_SHAPES, *modifiers))
        shapes = [shape for shape in _SHAPES if shape in table]
        if len(shapes) != 1:
            raise self.error(key, f"has {len(shapes)} of: {', '.join(_SHAPES)}", "give exactly one of them")
        get = self.shape(shapes[0], table, key, number)
        if "default" in table:
            get = _or_default(get, self.constant(table["default"], f"{key}.default"))
        if not number:
            return get if number is None else _name(get)
        return _whole(get, self.scale(table.get("scale", 1), key), self.rounding(table.get("round", "exact"), key))

    def shape(self, shape: str, table: dict[str, Any], key: str, number: bool | None) -> Get:
        given = table[shape]
        if shape == "value":
            constant = self.constant(given, f"{key}.value")
            return lambda _record: constant
        if shape == "field":
            names = [given] if isinstance(given, str) else given
            paths = [name.split("/") for name in self.texts(names, f"{key}.field")]
            if not paths:
                raise self.error(f"{key}.field", "names no field", 'write: field = "a/b", or a list of them')
            return _first_of(paths)
        if not isinstance(given, list) or not given:
            raise self.error(f"{key}.{shape}", f"{_said(given)} is no list of values", "list fields or tables")
        parts = [self.value(part, f"{key}.{shape}[{n}]", shape == "sum") for n, part in enumerate(given, 1)]
        if shape == "sum":
            if not number:
                raise self.error(f"{key}.sum", "is for amounts", "a name is made of several fields by `join`")
            return lambda record: sum(_number(part(record)) for part in parts)
        separator = self.text(table.get("separator", "/"), f"{key}.separator")
        return lambda record: separator.join(str(part(record)) for part in parts)

    def constant(self, value: object, key: str) -> object:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise self.error(key, f"{_said(value)} is no text and no number")
        return value

    def scale(self, value: object, key: str) -> Fraction:
        try:
            ratio = as_ratio(value)
        except BadAmount as error:
            raise self.error(
                f"{key}.scale", error.message, "for example 1000000 for dollars to micro-dollars"
            ) from None
        if not ratio:
            raise self.error(f"{key}.scale", "0 makes every amount 0")
        return ratio

    def rounding(self, value: object, key: str) -> Callable[[Fraction], int] | None:
        if value == "exact":
            return None
        if not isinstance(value, str) or value not in _ROUNDING:
            raise self.error(f"{key}.round", f"{_said(value)} is no way to round", "one of: exact, up, down")
        return _ROUNDING[value]

    def table(self, data: object, key: str, known: Iterable[str]) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self.error(key, f"{_said(data)} is no table")
        self.only(data, known, key)
        return data

    def only(self, data: dict[str, Any], known: Iterable[str], key: str) -> None:
        names = list(known)
        if extra := sorted(set(data) - set(names)):
            raise self.error(".".join(filter(None, (key, extra[0]))), "there is no such key", nearest(extra[0], names))

    def text(self, value: object, key: str) -> str:
        if not isinstance(value, str):
            raise self.error(key, f"{_said(value)} is no text")
        return value

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, f"{_said(value)} is no list of texts")
        return tuple(value)

    def amount(self, value: object, key: str) -> Amount:
        try:
            return as_amount(value)
        except BadAmount as error:
            raise self.error(key, error.message, error.hint) from None


def _needed(wanted: dict[str, bool]) -> list[str]:
    return [name for name, optional in wanted.items() if not optional]


def _said(value: object) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)


# --------------------------------------------------------------------------------------------- using it


def _records(line: Record, path: tuple[str, ...]) -> Iterator[Record]:
    """Yield the records of a line: what the lists along ``path`` hold, or the line itself where it has no such list."""
    if not path or path[0] not in line:
        yield line
        return
    level: list[Any] = [line]
    for name in path:
        level = [inner for outer in level if isinstance(outer, dict) for inner in _list(outer.get(name))]
    yield from (record for record in level if isinstance(record, dict))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _flattened(record: Record, names: tuple[str, ...]) -> Record:
    """Turn lists of keys and values, as OTLP writes attributes, into tables."""
    changed = {
        name: {
            str(pair["key"]): _plain(pair.get("value"))
            for pair in record[name]
            if isinstance(pair, dict) and "key" in pair
        }
        for name in names
        if isinstance(record.get(name), list)
    }
    return {**record, **changed} if changed else record


def _plain(value: object) -> object:
    """Return what an OTLP value holds: ``{"intValue": "5"}`` is 5. 64-bit integers are written as texts there."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    kind, inner = next(iter(value.items()))
    if kind == "intValue":
        try:
            return int(inner)
        except (TypeError, ValueError):
            return inner
    return inner if kind in ("stringValue", "boolValue", "doubleValue") else value


def _look(record: Record, parts: list[str]) -> object:
    """Return the value at a path, None where there is none: a null is nothing, too."""
    value: object = record
    for part in parts:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def _among(value: object, choices: list[object]) -> bool:
    # True == 1 in Python, and not in a log.
    return any(value == choice and isinstance(value, bool) is isinstance(choice, bool) for choice in choices)


def _first_of(paths: list[list[str]]) -> Get:
    def get(record: Record) -> object:
        for parts in paths:
            if (value := _look(record, parts)) is not None:
                return value
        raise _Absent(" or ".join(repr("/".join(parts)) for parts in paths))

    return get


def _or_default(get: Get, default: object) -> Get:
    def with_default(record: Record) -> object:
        try:
            return get(record)
        except _Absent:
            return default

    return with_default


def _name(get: Get) -> Get:
    def name(record: Record) -> object:
        value = get(record)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise BadRecord(f"{_said(value)} is not a name", hint="map a field that holds a text or a whole number")

    return name


def _whole(get: Get, scale: Fraction, rounding: Callable[[Fraction], int] | None) -> Get:
    def whole(record: Record) -> object:
        scaled = _number(get(record)) * scale
        if scaled.denominator == 1:
            return scaled.numerator
        if rounding is not None:
            return rounding(scaled)
        raise BadRecord(
            f"{float(scaled):g} is no whole number of units",
            hint='choose a smaller unit by `scale`, or say how to round: round = "up"',
        )

    return whole


def _number(value: object) -> Fraction:
    """Return a number exactly; a text that is a number counts as one."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise BadRecord(f"{_said(value)} is not a number", hint="map a field that holds a number")
    try:
        exact = Decimal(value)
    except InvalidOperation:
        exact = Decimal("NaN")
    if not exact.is_finite():
        raise BadRecord(f"{_said(value)} is not a number", hint="map a field that holds a number")
    if exact and not -_LARGEST <= exact.adjusted() <= _LARGEST:
        raise BadRecord(f"{exact:.3e} is out of all proportion", hint=f"amounts have at most {_LARGEST} digits")
    return Fraction(exact)


def _made(emit: Emit, record: Record, rule: MappingRule) -> tuple[object, dict[str, Any]]:
    event: dict[str, Any] = {"event": emit.kind}
    name = ""
    try:
        for name, get, optional in emit.values:
            try:
                event[name] = get(record)
            except _Absent:
                if not optional:
                    raise
        name = "at"
        with suppress(_Absent):
            return (None if emit.at is None else emit.at(record)), event
        return None, event
    except _Absent as absent:
        raise BadRecord(
            f"there is no field {absent} for {name!r} of {emit.kind!r}, in the rule {rule.name!r}",
            hint="give it a default in the mapping, or let `when` leave such records out",
        ) from None
    except BadRecord as error:
        error.message = f"{error.message}: {name!r} of {emit.kind!r}, in the rule {rule.name!r}"
        error.args = (error.message,)
        raise


# ------------------------------------------------------------------------------------------------- time


def moment(value: object) -> int | Decimal | None:
    """Return a time as a number that can be compared: a number as it is, an ISO 8601 text as nanoseconds since 1970.

    None for what is no time. A text without an offset counts as UTC.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        value = Decimal(value)
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if not isinstance(value, str):
        return None
    if value.isascii() and value.isdigit() and len(value) > 8:  # 20260101 is a date, 1767225600 a number
        return int(value) if len(value) <= _LARGEST else None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    if read.tzinfo is None:
        read = read.replace(tzinfo=UTC)
    return (read - _EPOCH) // timedelta(microseconds=1) * 1000
