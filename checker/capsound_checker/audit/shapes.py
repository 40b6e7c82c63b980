"""The records of a line: what lists contain, with what encloses them, attributes as tables, and JSON inside a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from capsound_checker.audit.values import BadRecord, Record, shown
from capsound_checker.intake.limits import NAME, read_json

PARENT = "^"
"""The name under which a record finds what encloses it: ``^/start_time``, ``^/^/resource/service``."""

Path = tuple[str, ...]


def records_in(line: Record, paths: tuple[Path, ...], nested: bool) -> Iterator[Record | BadRecord]:
    """Yield the records of a line: what the lists along the first path that begins there hold, or the line itself.

    ``nested`` says that each record is to know what encloses it. A ``BadRecord`` stands for what is no list of objects.
    """
    path = next((path for path in paths if path[0] in line), None)
    if path is None:
        yield line
        return
    level: list[Record] = [line]
    for name in path:
        below: list[Record] = []
        for outer in level:
            inner = outer.get(name)
            if inner is None:
                yield outer  # what it has instead may be usage that no rule takes
                continue
            if not isinstance(inner, list):
                yield BadRecord(f"{name!r} is {shown(inner)}, not a list", hint=_HINT)
                continue
            for item in inner:
                if isinstance(item, dict):
                    below.append({**item, PARENT: outer} if nested else item)
                else:
                    yield BadRecord(f"{name!r} contains {shown(item)}, not an object", hint=_HINT)
        level = below
    yield from level


_HINT = "see `records` in the mapping"


def flattened(record: Record, paths: tuple[Path, ...]) -> Record:
    """Turn lists of keys and values, as OTLP writes attributes, into tables.

    Raises ``BadRecord`` for what is neither of both.
    """
    for path in paths:
        found = _at(record, path)
        if isinstance(found, list):
            record = _with(record, path, _table(found))
        elif found is not None and not isinstance(found, dict):
            raise BadRecord(f"{'/'.join(path)!r} is {shown(found)}, not attributes", hint=_HINT)
    return record


def opened(record: Record, paths: tuple[Path, ...]) -> Record:
    """Turn texts that hold JSON into what they say.

    Raises ``BadRecord`` for one that begins like JSON and is none, unless its path ends in ``?``.
    """
    for path in paths:
        perhaps = path[-1].endswith("?")
        where = (*path[:-1], path[-1].removesuffix("?"))
        found = _at(record, where)
        if isinstance(found, str) and found.lstrip()[:1] in ("{", "["):
            try:
                record = _with(record, where, read_json(found, parse_float=Decimal))
            except (ValueError, ArithmeticError):
                if not perhaps:
                    raise BadRecord(f"{'/'.join(where)!r} holds no JSON: {shown(found)}") from None
    return record


def _table(pairs: list[Any]) -> dict[str, Any]:
    return {
        pair["key"]: _plain(pair.get("value"))
        for pair in pairs
        if isinstance(pair, dict) and isinstance(pair.get("key"), str)
    }


def _at(record: Record, path: Path) -> object:
    value: object = record
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _with(record: Record, path: Path, value: object) -> Record:
    """Return a record in which something else is at a path; the record itself stays as it is."""
    first, rest = path[0], path[1:]
    inner = record.get(first)
    return {**record, first: _with(inner, rest, value) if rest and isinstance(inner, Mapping) else value}


def _plain(value: object) -> object:
    """Return what an OTLP value holds: ``{"intValue": "5"}`` is 5, ``{}`` is nothing.

    64-bit integers are written as texts there.
    """
    if not isinstance(value, dict):
        return value
    if not value:
        return None
    if len(value) != 1:
        return value
    kind, inner = next(iter(value.items()))
    if kind == "intValue":
        if isinstance(inner, str) and len(inner) <= NAME:
            try:
                return int(inner)
            except ValueError:
                return inner
        return inner
    return inner if kind in ("stringValue", "boolValue", "doubleValue") else value
