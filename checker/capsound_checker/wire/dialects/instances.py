"""A small instance of a JSON schema: what a model that says little would answer.

Clients check more than they send. Some leave bounds out of the schema (Gemini's, of the ``ai`` package), others write
them into descriptions (Anthropic's): bounds are read from there, and what has none is made likely to be within one: a
text is not empty, a number is 1, a list has an item unless it is nested deeply.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from referencing import Registry

from capsound_checker.wire.dialects.patterns import NotRead, shortest

DEPTH = 24
"""How many references and levels are followed; a schema that demands more has no finite instance, or none of use."""

TRIES = 64
"""How many candidates are compared with the schema."""

STEPS = 20_000
"""How many steps a search takes at most."""

SIZE = 10_000
"""The longest list or text that is made."""

FILLED = 4
"""Down to this level a list gets an item that nothing demands; below it a tree would grow without an end."""

PADDED = 24
"""How long a text that has to match a pattern is made at most, where the pattern alone gives a shorter one."""

TEXT = "text"
"""What a text says that may say anything."""

_HINTS = re.compile(
    r"\b(minimum|maximum|exclusiveMinimum|exclusiveMaximum|minLength|maxLength|minItems|maxItems|multipleOf)"
    r"\s*[:=]\s*(-?\d{1,18}(?:\.\d{1,18})?)"
)

FORMATS: Mapping[str, str] = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "a@example.com",
    "idn-email": "a@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "iri": "https://example.com/",
    "uri-reference": "/",
    "iri-reference": "/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "regex": ".",
    "json-pointer": "",
    "binary": "",
    "byte": "",
}


class NoInstance(ValueError):
    """No instance was found; the text says why."""


@dataclass(slots=True)
class _Root:
    """The whole schema, and how many steps are left: what refers to itself in many ways has no end."""

    schema: Mapping[str, Any]
    left: int = STEPS

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise NoInstance("the schema refers to itself in too many ways")


def instance(schema: Mapping[str, Any]) -> Any:
    """Return a small instance of ``schema``, always the same one.

    Raises ``NoInstance`` where none was found that satisfies the schema; whether it does is for ``jsonschema`` to say.
    """
    why = ""
    try:
        # An empty registry: what the schema refers to outside of itself is never fetched.
        validator = validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())
        for count, made in enumerate(_made(schema, _Root(schema), 0)):
            problem = next(validator.iter_errors(made), None)
            if problem is None:
                return made
            why = why or problem.message[:120]
            if count + 1 >= TRIES:
                break
    except NoInstance:
        raise
    except RecursionError:
        raise NoInstance("the schema refers to itself without an end") from None
    except Exception as error:  # noqa: BLE001  a schema may be anything, and both it and its patterns are foreign
        raise NoInstance(f"the schema cannot be read: {type(error).__name__}: {str(error)[:120]}") from None
    raise NoInstance(why or "the schema allows nothing")


def _made(schema: Any, root: _Root, depth: int) -> Iterator[Any]:
    """Yield candidates, the most likely first."""
    root.step()
    if depth > DEPTH or schema is False:
        return
    if not isinstance(schema, dict):
        yield {}
        return
    if "const" in schema:
        yield schema["const"]
        return
    if isinstance(schema.get("enum"), list):
        yield from schema["enum"][:TRIES]
        return
    if isinstance(schema.get("$ref"), str):
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        yield from _made(_merged(_referred(schema["$ref"], root), rest), root, depth + 1)
        return
    if isinstance(schema.get("allOf"), list):
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            found = _referred(part["$ref"], root) if isinstance(part, dict) and "$ref" in part else part
            rest = _merged(rest, found)
        yield from _made(rest, root, depth + 1)
        return
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            rest = {name: value for name, value in schema.items() if name != key}
            # What ends soonest comes first: a schema of a tree has to reach its leaves.
            for branch in sorted(schema[key], key=lambda one: isinstance(one, dict) and "$ref" in one):
                yield from _made(_merged(rest, branch), root, depth + 1)
            return
    schema = _hinted(schema)
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds or _kind(schema)]:
        yield from _of_kind(str(kind), schema, root, depth)


def _hinted(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with the bounds that its description tells and it does not."""
    said = schema.get("description")
    if not isinstance(said, str):
        return schema
    found = {key: float(value) if "." in value else int(value) for key, value in _HINTS.findall(said[:2000])}
    return {**found, **schema}


def _kind(schema: Mapping[str, Any]) -> str:
    if "items" in schema or "prefixItems" in schema or "minItems" in schema:
        return "array"
    if "minLength" in schema or "pattern" in schema or "format" in schema:
        return "string"
    if "minimum" in schema or "exclusiveMinimum" in schema or "multipleOf" in schema:
        return "number"
    return "object"


def _of_kind(kind: str, schema: Mapping[str, Any], root: _Root, depth: int) -> Iterator[Any]:
    if kind == "object":
        yield from _object(schema, root, depth)
    elif kind == "array":
        yield from _array(schema, root, depth)
    elif kind == "string":
        yield _string(schema)
    elif kind in ("integer", "number"):
        yield _number(schema, kind == "integer")
    elif kind == "boolean":
        yield False
        yield True
    elif kind == "null":
        yield None


def _object(schema: Mapping[str, Any], root: _Root, depth: int) -> Iterator[Any]:
    given = schema.get("properties")
    properties: Mapping[str, Any] = given if isinstance(given, dict) else {}
    required = [key for key in schema.get("required") or [] if isinstance(key, str)]
    names = [key for key in properties if key in required] + [key for key in required if key not in properties]
    chosen: dict[str, Any] = {}
    for key in names:
        value = next(_made(properties.get(key, {"type": "string"}), root, depth + 1), _NOTHING)
        if value is _NOTHING:
            return
        chosen[key] = value
    missing = max(0, min(int(schema.get("minProperties") or 0), SIZE) - len(chosen))
    for key in [key for key in properties if key not in chosen][:missing]:
        chosen[key] = next(_made(properties[key], root, depth + 1), None)
    yield chosen
    # Where the first of each is not right, the others are tried one property at a time.
    for key in names:
        for at, value in enumerate(_made(properties.get(key, {"type": "string"}), root, depth + 1)):
            if 0 < at < TRIES:
                yield {**chosen, key: value}


def _array(schema: Mapping[str, Any], root: _Root, depth: int) -> Iterator[Any]:
    least = min(int(schema.get("minItems") or 0), SIZE)
    if not least and depth <= FILLED and schema.get("maxItems") != 0 and "prefixItems" not in schema:
        yield from _array({**schema, "minItems": 1}, root, depth)
    given = schema.get("prefixItems")
    first: list[Any] = given if isinstance(given, list) else []
    made: list[Any] = [next(_made(part, root, depth + 1), None) for part in first]
    rest = schema.get("items", {"type": "string"})
    wanted = max(least, 1 if "contains" in schema else 0)
    if schema.get("uniqueItems") and wanted - len(made) > 1:
        fresh = list(_different(rest, root, depth, wanted - len(made)))
    else:
        one = next(_made(schema.get("contains", rest), root, depth + 1), _NOTHING) if wanted > len(made) else None
        if one is _NOTHING:
            return
        fresh = [one] * max(0, wanted - len(made))
    yield [*made, *fresh]


def _different(schema: Any, root: _Root, depth: int, count: int) -> Iterator[Any]:
    """Yield ``count`` different items where the schema lets us see how."""
    seen: list[Any] = []
    for value in _made(schema, root, depth + 1):
        if value not in seen and len(seen) < count:
            seen.append(value)
            yield value
    last = seen[-1] if seen else None
    for at in range(count - len(seen)):
        if isinstance(last, str):
            yield f"{last}{at + 1}"
        elif isinstance(last, int) and not isinstance(last, bool):
            yield last + (at + 1) * int(_above(schema))
        else:
            yield last


def _above(schema: Any) -> Fraction:
    step = schema.get("multipleOf") if isinstance(schema, dict) else None
    return Fraction(str(step)) if step else Fraction(1)


def _string(schema: Mapping[str, Any]) -> str:
    least = min(int(schema.get("minLength") or 0), SIZE)
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        return _matching(pattern, least)
    text = FORMATS.get(str(schema.get("format")), TEXT)
    most = schema.get("maxLength")
    if isinstance(most, int) and most < len(text):
        text = text[: max(0, most)]
    return text + "a" * (least - len(text))


def _matching(pattern: str, least: int) -> str:
    """Return a text that a pattern matches; where it has no end of its own, it is made long enough."""
    try:
        text = shortest(pattern)
    except NotRead as problem:
        raise NoInstance(str(problem)) from None
    if least > max(PADDED, len(text)):  # a long text may keep an unlucky expression busy for ever
        raise NoInstance("the text has to be long, and to match a pattern")
    return text + (text[-1:] or "a") * (least - len(text))


def _number(schema: Mapping[str, Any], integer: bool) -> int | float:
    low, high = _bound(schema, "minimum", 1), _bound(schema, "maximum", -1)
    step = _above(schema) if "multipleOf" in schema or integer else Fraction(0)
    value = Fraction(1) if not step or Fraction(1) % step == 0 else Fraction(0)
    if low is not None and (value < low[0] or (value == low[0] and low[1])):
        value = low[0]
        if step:
            value = math.ceil(low[0] / step) * step
            value += step if low[1] and value == low[0] else 0
        elif low[1]:
            value = low[0] + 1 if high is None or low[0] + 1 < high[0] else (low[0] + high[0]) / 2
    elif high is not None and (value > high[0] or (value == high[0] and high[1])):
        value = high[0]
        if step:
            value = math.floor(high[0] / step) * step
            value -= step if high[1] and value == high[0] else 0
        elif high[1]:
            value = high[0] - 1 if low is None or high[0] - 1 > low[0] else (low[0] + high[0]) / 2
    return int(value) if value.denominator == 1 else float(value)


def _bound(schema: Mapping[str, Any], key: str, sign: int) -> tuple[Fraction, bool] | None:
    """Return the tighter of the two bounds on one side, and whether it is excluded itself."""
    exclusive = schema.get(f"exclusive{key.capitalize()}")
    found = [
        (Fraction(str(value)), excluded)
        for value, excluded in ((schema.get(key), exclusive is True), (exclusive, True))
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]
    return max(found, key=lambda one: (one[0] * sign, one[1]), default=None)


def _referred(pointer: str, root: _Root) -> Any:
    if not pointer.startswith("#"):
        raise NoInstance(f"the schema refers to {pointer[:80]}, which is outside of it")
    found: Any = root.schema
    for part in [part for part in pointer[1:].split("/") if part]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            raise NoInstance(f"the schema refers to {pointer[:80]}, which is not there")
    return found


def _merged(first: Any, second: Any) -> Any:
    """Return a schema that demands both, as far as keys say it; ``jsonschema`` has the last word."""
    if first is False or second is False:
        return False
    if not isinstance(first, dict) or not isinstance(second, dict):
        return first if isinstance(first, dict) else second
    both: dict[str, Any] = {**first, **second}
    for key in ("properties", "$defs"):
        if isinstance(first.get(key), dict) and isinstance(second.get(key), dict):
            both[key] = {**first[key], **second[key]}
    if isinstance(first.get("required"), list) and isinstance(second.get("required"), list):
        both["required"] = list(dict.fromkeys(map(str, [*first["required"], *second["required"]])))
    if isinstance(first.get("allOf"), list) and isinstance(second.get("allOf"), list):
        both["allOf"] = [*first["allOf"], *second["allOf"]]
    return both


_NOTHING = object()
