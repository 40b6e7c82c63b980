"""The third gate: the file keeps to the schema. The errors of the validator are put in words for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from capsound.loading.keeping import surely_kept
from capsound.loading.limits import MAX_NUMBER
from capsound.loading.problems import Notes
from capsound.loading.taming import tame
from capsound.loading.words import article, guess, show, spell, within
from capsound.positions import KeyPath

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

SHAPES: Mapping[str, tuple[str, ...]] = {
    "plain": ("estimate", "bill"),
    "request": ("bytes", "messages", "tools", "max_output", "input_tokens", "output_tokens", "growth", "cached"),
    "stream": ("chunk", "chunks"),
}
"""The keys of each shape of a call; one call has one shape."""


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of scenario files: a copy of one's own."""
    schema: dict[str, Any] = json.loads(_resource("scenario.schema.json"))
    return schema


def scenario_template() -> str:
    """Return the commented scenario that ``capsound new scenario`` writes."""
    return _resource("template.toml")


def _resource(name: str) -> str:
    return resources.files("capsound").joinpath(name).read_text(encoding="utf-8")


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_rules())


@cache
def _rules() -> Any:
    return _counted(scenario_schema())


def _counted(schema: Any) -> Any:
    """Return the schema of what is left when all money has become whole numbers (``money``)."""
    if isinstance(schema, list):
        return [_counted(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _counted(value) for key, value in schema.items()}
    choices = kept.get("anyOf", [])
    if any(choice.get("title") == "decimal" for choice in choices):
        kept["anyOf"] = [choice for choice in choices if choice.get("title") != "decimal"]
        if len(kept["anyOf"]) == 1:
            return kept["anyOf"][0]
    return kept


def check_schema(data: dict[str, Any], notes: Notes) -> None:
    """Blame what does not keep to the schema, and put stand-ins there, so that the rest can be read.

    Raises ``BadScenario`` where the file cannot be read for what it is.
    """
    if surely_kept(_rules(), data):
        return
    # Unknown keys come first: a misspelt key explains why the right one is missing.
    for error in sorted(_validator().iter_errors(data), key=lambda error: error.validator == "required"):
        _explain(error, tuple(error.absolute_path), notes)
    if notes.found and not tame(data, notes, lambda: _leaves(_validator().iter_errors(data)), _rule):
        notes.gate()


def _leaves(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """Yield errors, in the place of one about alternatives those of the one that was meant."""
    for error in errors:
        branch = _branch(error) if error.validator == "anyOf" else []
        yield from _leaves(branch) if branch else (error,)


def _rule(reference: str) -> Any:
    """Return the part of the schema that a reference names."""
    return _counted(scenario_schema())["$defs"][reference.rpartition("/")[2]]


def _explain(error: ValidationError, path: KeyPath, notes: Notes) -> None:
    """Turn one error of the validator into a message for people."""
    value: Any = error.instance
    schema: Any = error.schema
    rule = str(error.validator)
    if path in notes.blamed:
        return
    if rule == "anyOf" and (branch := _branch(error)):
        for inner in branch:
            _explain(inner, tuple(inner.absolute_path), notes)
        return
    if rule == "additionalProperties":
        for key in value:
            if key not in schema["properties"]:
                hint = _misplaced(key, value[key], path, schema) if notes.hints_left else ""
                notes.key((*path, key), f"unknown key {show(key)}{within(path)}", hint)
                notes.misspelt.update((*path, right) for right in re.findall('did you mean "(.*)"', hint))
    elif rule == "required":
        for key in schema["required"]:
            if key not in value and (*path, key) not in notes.misspelt:
                _missing(key, path, notes)
    elif rule == "oneOf":
        _explain_shapes(value, path, notes)
    elif rule == "const" and path == ("schema",):
        notes.value(path, f"this file is written for schema {show(value)}", "this capsound reads schema 1")
    elif rule == "minItems":
        notes.value(path, f"{spell(path)} is empty", f"give at least {article(str(path[-1]))}")
    elif rule == "maxItems":
        message = f"{spell(path)} has {len(value)} entries; {error.validator_value} is the most"
        notes.value(path, message, "remove some; identical agents need one entry, with count = N")
    elif rule == "minProperties":
        notes.value(path, f"{spell(path)} is an empty table", "give min, max or both")
    else:
        message, hint = _misfit(value, rule, schema, notes)
        notes.value(path, f"{spell(path)} {message}", hint)


def _branch(error: ValidationError) -> list[ValidationError]:
    """Return the errors of the one alternative that fits the kind of value, if there is just one."""
    by_branch: dict[object, list[ValidationError]] = {}
    for inner in error.context or ():
        by_branch.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [
        errors
        for errors in by_branch.values()
        if not any(inner.validator in ("type", "const") and not inner.relative_path for inner in errors)
    ]
    return fitting[0] if len(fitting) == 1 else []


def _misfit(value: Any, rule: str, schema: Mapping[str, Any], notes: Notes) -> tuple[str, str]:
    """Say what is wrong with a single value, and what is wanted in its place."""
    wanted = _wanted(schema)
    numeric = "whole number" in wanted or "number of" in wanted or "a number" in wanted
    if isinstance(value, bool):
        return f"is {show(value)}, a boolean", f"give {wanted}"
    if isinstance(value, int | Decimal) and numeric:
        if value < 0:
            return f"is {show(value)}, which is negative", f"give {wanted}"
        if isinstance(value, Decimal) and "whole number" in wanted:
            return (
                f"is {show(value)}, not a whole number",
                f"give {wanted}; count in the smallest unit, for example micro-USD instead of dollars",
            )
        if rule == "minimum":
            return f"is {show(value)}, less than {show(schema['minimum'])}", f"give {wanted}"
        if rule == "maximum":
            return f"is {show(value)}, more than {show(schema['maximum'])}", f"give {wanted}"
    if isinstance(value, str):
        if "enum" in schema and notes.hints_left:
            return f"is {show(value)}", guess(value, schema["enum"])
        if rule == "maxLength":
            return f"is too long: {len(value)} characters, {schema['maxLength']} are the most", "shorten it"
        return f"is {show(value)}", f"give {wanted}"
    if isinstance(value, dict) and schema.get("type") == "array":
        key = schema.get("title", "").lower()
        return "is a single table, not an array of them", f"write [[{key}]], with two brackets on each side"
    if isinstance(value, list) and schema.get("type") == "object":
        return "is an array, not a table", "write its header with one bracket on each side"
    return f"is {show(value)}", f"give {wanted}"


def _wanted(schema: Mapping[str, Any]) -> str:
    """Return what a schema wants, in words."""
    if "anyOf" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return " or ".join(show(name) for name in schema["enum"])
    if "const" in schema:
        return show(schema["const"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        least, most = schema.get("minimum", 0), schema.get("maximum", MAX_NUMBER)
        return f"{noun} from {least} to {most}" if most < MAX_NUMBER else f"{noun} of at least {least}"
    if kind == "string":
        if "A-Z" in schema.get("pattern", ""):
            return "a name: letters, digits, '_', '.' and '-', no digit first, 60 characters at most"
        if "0-9" in schema.get("pattern", ""):
            return 'a number such as 2, 1.875 or "3/2"'
        return "one line of text, without control characters"
    return {"boolean": "true or false", "array": "an array in [ ]", "object": "a table"}[str(kind)]


def _missing(key: str, path: KeyPath, notes: Notes) -> None:
    if path:
        notes.key(path, f"{show(key)} is missing{within(path)}", f"add {key} = ..., below its header")
    elif key in ("agents", "calls"):
        notes.key((), f"the scenario has no {key}", f"add an entry [[{key}]]")
    else:
        example = {"cap": "cap = 60", "discipline": 'discipline = "racy-counter"'}[key]
        notes.key((), f"{show(key)} is missing", f"add {example} at the top, before the first [table]")


def _explain_shapes(call: Mapping[str, Any], path: KeyPath, notes: Notes) -> None:
    shape_of = {key: shape for shape, keys in SHAPES.items() for key in keys}
    used = [key for key in call if key in shape_of]
    shapes = list(dict.fromkeys(shape_of[key] for key in used))
    if len(shapes) == 1:
        needed = {"request": ("bytes",), "stream": SHAPES["stream"]}[shapes[0]]
        lack = " and ".join(key for key in needed if key not in call)
        notes.key(
            (*path, used[0]),
            f"a {shapes[0]} needs {lack}{within(path)}",
            f"the keys of a {shapes[0]} are {', '.join(SHAPES[shapes[0]])}",
        )
        return
    used.sort(key=lambda key: notes.places.key((*path, key)))
    first = shape_of[used[0]]
    odd = next(key for key in used if shape_of[key] != first)
    notes.key(
        (*path, odd),
        f"{show(odd)} belongs to a {shape_of[odd]} call, {show(used[0])} to a {first} call: one call has one shape",
        " · ".join(f"{shape}: {', '.join(keys)}" for shape, keys in SHAPES.items()),
    )


def _misplaced(key: str, value: Any, path: KeyPath, schema: Mapping[str, Any]) -> str:
    """Return the cure for an unknown key: the table where it belongs, or the nearest key known here."""
    homes = [name for name, keys in _tables().items() if key in keys and not isinstance(value, dict | list)]
    if homes and path[:1] not in {(home.strip("[]"),) for home in homes}:
        if homes[0]:
            return f"{show(key)} belongs in {' or '.join(homes)}"
        return f"{show(key)} belongs at the top of the file, before the first [table]"
    return guess(key, schema["properties"])


@cache
def _tables() -> dict[str, frozenset[str]]:
    """Return the keys of each table of the language; the top of the file has no name."""
    schema = scenario_schema()
    tables = {"": frozenset(schema["properties"])}
    for name, rule in schema["properties"].items():
        if rule.get("type") == "object":
            tables[f"[{name}]"] = frozenset(rule["properties"])
    rules = {
        "[[agents]]": "agents",
        "[[calls]]": "call",
        "[[slices]]": "slice",
        "[[ceilings]]": "ceiling",
        "[expect]": "expect",
        "[discipline]": "discipline",
    }
    for name, rule in rules.items():
        tables[name] = frozenset(schema["$defs"][rule]["properties"])
    return tables
