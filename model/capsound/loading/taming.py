"""What stands in for a value that was blamed, so that the rest of the file is still read, and blamed, in the same go.

A stand-in is as tame as can be: an amount that may be anything fits beside every other. What is said of a stand-in, or
of what is missing because of one, is not told (``Notes``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from capsound.loading.problems import Notes
from capsound.positions import KeyPath

if TYPE_CHECKING:
    from jsonschema import ValidationError

_ROUNDS = 4
"""How often a file is looked at again: a stand-in for a table may bring to light what was hidden in it."""

_OPEN = frozenset({"grant", "slice", "estimate", "bill", "max"})


def stand_in(path: KeyPath) -> int | str:
    """Return what stands in for the number at ``path``."""
    if path[-1] in _OPEN or path == ("cap",):
        return "any"
    return 0 if path[-1] == "min" else 1


Rule = Callable[[str], Any]
"""Gives the part of the schema that a reference names."""


def tame(data: dict[str, Any], notes: Notes, find: Callable[[], Iterable[ValidationError]], rule: Rule) -> bool:
    """Put stand-ins where ``data`` does not keep to the schema; return whether it does then."""
    for _ in range(_ROUNDS):
        errors = list(find())
        if not errors:
            return True
        done = [_tame(data, error, notes, rule) for error in errors]
        if not all(done):
            return False
    return not list(find())


def _tame(data: dict[str, Any], error: ValidationError, notes: Notes, find_rule: Rule) -> bool:
    """Put a stand-in where one error is; return whether there is one."""
    path: KeyPath = tuple(error.absolute_path)
    value: Any = error.instance
    schema: Any = error.schema
    rule = str(error.validator)
    if rule == "additionalProperties":
        for key in [key for key in value if key not in schema["properties"]]:
            notes.lost |= isinstance(value[key], dict | list) or "name" in str(key)
            del value[key]
        return True
    if rule == "required":
        missing = [key for key in schema["required"] if key not in value]
        done = [_supply(value, key, path, schema, notes, find_rule) for key in missing]
        return all(done)
    if rule == "oneOf":  # a call of no shape
        kept = {"name": value["name"]} if isinstance(value.get("name"), str) else {}
        return _put(data, path, {**kept, "estimate": "any", "bill": "any"}, notes)
    return _put(data, path, _neutral(schema, path, find_rule), notes)


def _supply(
    table: dict[str, Any], key: str, path: KeyPath, schema: Mapping[str, Any], notes: Notes, rule: Rule
) -> bool:
    """Give a table a key that it lacks."""
    some = {"agents": [{}], "calls": [{"estimate": "any", "bill": "any"}], "discipline": "reserve-settle"}
    value = some.get(key) if not path else None
    table[key] = _neutral(schema["properties"][key], (*path, key), rule) if value is None else value
    notes.blamed.add((*path, key))
    notes.lost |= key in ("name", *some)
    return table[key] is not None


def _put(data: dict[str, Any], path: KeyPath, value: Any, notes: Notes) -> bool:
    """Put a stand-in at ``path``; return whether there is one."""
    if not path or value is None:
        return False
    holder: Any = data
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    notes.blamed.add(path)
    notes.lost |= path[-1] == "name" or isinstance(value, dict | list)
    return True


def _neutral(schema: Mapping[str, Any], path: KeyPath, rule: Rule) -> Any:
    """Return a value that keeps to a schema and goes with all others; None where there is none."""
    if "$ref" in schema:
        return _neutral(rule(schema["$ref"]), path, rule)
    if "anyOf" in schema:
        if stand_in(path) == "any" and any(choice.get("const") == "any" for choice in schema["anyOf"]):
            return "any"
        found = (_neutral(choice, path, rule) for choice in schema["anyOf"])
        return next((value for value in found if value is not None), None)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    if kind in ("integer", "number"):
        if stand_in(path) == "any":
            return "any"
        return max(schema.get("minimum", 1), min(1, schema.get("maximum", 1)))
    if kind == "string":
        pattern = schema.get("pattern", "")
        if "A-Z" in pattern:  # a name: of its own
            return "x" + "-".join(map(str, path))
        return "day" if path[-1] == "window" else "1" if "0-9" in pattern else "x"
    if kind == "array":
        return None if schema.get("minItems") else []
    return {"boolean": False, "object": None if schema.get("required") else {}}.get(str(kind))
