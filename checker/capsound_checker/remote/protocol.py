"""The messages of the protocol, and their validation: always, in both directions, against the published schemas.

There is one JSON Schema for each message in ``schema/``. Requests are told apart by ``cmd``, answers by ``answer``.
Under ``$defs/value`` the schema of a request says what the ``value`` of its ``done`` may be.

A message is checked by functions that are made of the schema once, which takes microseconds; only what they turn away
is shown to ``jsonschema``, which knows how to say why. That the two agree is a property test.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, Disagreement, nearest
from capsound_checker.intake.limits import TooMuch, cut, excerpt, read_json

VERSION = 1
"""The version of the protocol, which both sides say."""

SCHEMAS = Path(__file__).with_name("schema")
"""The folder of the published schemas."""

ODD: Mapping[str, Any] = {
    "nan": math.nan,
    "infinity": math.inf,
    "-infinity": -math.inf,
    "text": "5",
    "true": True,
    "fraction": 1.5,
    "float": 2.0,
    "null": None,
    "list": [],
    "bytes": b"5",
    "complex": 1 + 0j,
}
"""What is no amount, by the name under which it is sent; JSON has no words for most of it."""

Message = dict[str, Any]
Check = Callable[[Any], bool]


class BadMessage(CapsoundError):
    """A line that is no message of the protocol; the harness is to be mended, nothing is said of the implementation."""

    name = "bad-message"
    exit_status = EXIT_BAD_INPUT


@cache
def schema(name: str) -> Mapping[str, Any]:
    """Return the published schema of one message."""
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


@cache
def names(key: str) -> tuple[str, ...]:
    """Return the names of all messages of a kind: ``cmd`` for requests, ``answer`` for answers."""
    found = sorted(path.stem for path in SCHEMAS.glob("*.json"))
    return tuple(name for name in found if key in schema(name)["properties"])


# ---------------------------------------------------------------------------------------- a schema as a function


def compiled(rule: Mapping[str, Any]) -> Check:
    """Return a function that says whether a value is valid under ``rule``.

    Knows ``type``, ``const``, ``enum``, ``anyOf``, ``minimum``, ``minLength``, ``required``, ``properties``,
    ``additionalProperties`` and ``items``. Raises ``KeyError`` for any other keyword, so that none is passed over.
    """
    made = [_KEYWORDS[key](value, rule) for key, value in rule.items() if key not in _NOTES]
    checks = [check for check in made if check is not None]
    if not checks:
        return lambda _: True
    if len(checks) == 1:
        return checks[0]
    return lambda value: all(check(value) for check in checks)


_NOTES = frozenset({"$schema", "$id", "$defs", "title", "description"})


def _is_integer(value: Any) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


_TYPES: Mapping[str, Check] = {
    "object": lambda v: type(v) is dict,
    "array": lambda v: type(v) is list,
    "string": lambda v: type(v) is str,
    "boolean": lambda v: type(v) is bool,
    "null": lambda v: v is None,
    "integer": _is_integer,
    "number": lambda v: type(v) is int or type(v) is float,
}


def _type(wanted: str | list[str], _: Any) -> Check:
    if isinstance(wanted, str):
        return _TYPES[wanted]
    options = [_TYPES[name] for name in wanted]
    return lambda value: any(option(value) for option in options)


def _same(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) is isinstance(wanted, bool)


def _enum(wanted: list[Any], _: Any) -> Check:
    return lambda value: any(_same(value, each) for each in wanted)


def _any_of(rules: list[Mapping[str, Any]], _: Any) -> Check:
    options = [compiled(rule) for rule in rules]
    return lambda value: any(option(value) for option in options)


def _required(keys: list[str], _: Any) -> Check:
    wanted = frozenset(keys)
    return lambda value: type(value) is not dict or wanted <= value.keys()


def _properties(properties: Mapping[str, Any], rule: Mapping[str, Any]) -> Check:
    known = {name: compiled(inner) for name, inner in properties.items()}
    return _fields(known, rule.get("additionalProperties", True))


def _additional(other: Any, rule: Mapping[str, Any]) -> Check | None:
    return None if "properties" in rule else _fields({}, other)


def _fields(known: Mapping[str, Check], other: Any) -> Check:
    further = compiled(other) if isinstance(other, dict) else (lambda _: bool(other))

    def check(value: Any) -> bool:
        if type(value) is not dict:
            return True
        return all(known.get(name, further)(inner) for name, inner in value.items())

    return check


def _items(rule: Mapping[str, Any], _: Any) -> Check:
    check = compiled(rule)
    return lambda value: type(value) is not list or all(check(item) for item in value)


_KEYWORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], Check | None]] = {
    "type": _type,
    "const": lambda wanted, _: lambda value: _same(value, wanted),
    "enum": _enum,
    "anyOf": _any_of,
    "minimum": lambda least, _: lambda value: not _TYPES["number"](value) or value >= least,
    "minLength": lambda least, _: lambda value: type(value) is not str or len(value) >= least,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
}


@cache
def _checker(name: str) -> Check:
    return compiled(schema(name))


@cache
def _value_checker(cmd: str) -> Check:
    rule = schema(cmd).get("$defs", {}).get("value")
    return (lambda _: False) if rule is None else compiled(rule)


# ------------------------------------------------------------------------------------------------- in and out


def encode(request: Message) -> bytes:
    """Return the line of a request; raises ``BadMessage`` when it is none."""
    _valid("cmd", request, repr(request))
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes, request: Message) -> Message:
    """Return the answer in a line; raises ``BadMessage`` when it is no valid answer to ``request``."""
    text = line.decode(errors="backslashreplace")
    try:
        answer = read_json(line, parse_constant=_no_constant, parse_float=_finite)
    except ValueError as error:
        raise BadMessage(
            f"the harness printed a line that is not JSON: {excerpt(text)}"
            if not isinstance(error, TooMuch)
            else f"the harness printed a line that cannot be used: {excerpt(text)}",
            cause=f"standard output is the protocol's alone ({error})",
            hint="print to standard error instead, and write each answer as one line of JSON",
        ) from None
    _valid("answer", answer, text)
    valid: Message = answer
    if answer["seq"] != request["seq"]:
        raise BadMessage(
            f"the answer has seq {answer['seq']}, the request has seq {request['seq']}: {excerpt(text)}",
            cause="an answer carries the seq of the request that it answers",
            hint="copy `seq` from the request, and answer each request once, in the order in which they come",
        )
    _fits(answer, request, text)
    return valid


def _fits(answer: Message, request: Message, text: str) -> None:
    """Raise ``BadMessage`` unless an answer is one of those to a request."""
    cmd, kind = request["cmd"], answer["answer"]
    if kind not in _EXPECTED.get(cmd, _USUAL):
        raise BadMessage(
            f"{cmd!r} was answered with {kind!r}: {excerpt(text)}",
            cause="that is no answer to this request",
            hint=f"answer with one of {', '.join(_EXPECTED.get(cmd, _USUAL))}",
        )
    if kind == "turned":
        _parts_valid(answer, request, text)
    if kind == "done" and not _value_checker(cmd)(answer["value"]):
        rule = schema(cmd)["$defs"]["value"]
        raise BadMessage(
            f"the value of 'done' is no answer to {cmd!r}: {excerpt(text)}",
            cause=f"$defs/value in schema/{cmd}.json: {_why(rule, answer['value'])}",
            hint=schema(cmd)["description"],
        )


_OUTCOMES = ("done", "refused", "rejected", "stale", "errored", "skipped", "hung")
_USUAL = _OUTCOMES
_SUSPENDED = (*_OUTCOMES, "waiting", "raised")
_EXPECTED: Mapping[str, tuple[str, ...]] = {
    "start": ("started", "errored", "skipped"),
    "reset": ("done", "errored"),
    "turn": ("turned", "errored", "skipped"),
    **dict.fromkeys(("call", "reply", "fail", "cancel", "crash", "step"), _SUSPENDED),
}


def _parts_valid(answer: Message, request: Message, text: str) -> None:
    """Raise ``BadMessage`` unless each call of a turn is answered as it would be alone, and no other is."""
    asked = {step["call"]: step["cmd"] for step in request["steps"]}
    if asked.keys() != answer["calls"].keys():
        raise BadMessage(
            f"the turn is of {', '.join(asked) or 'no call'}, and its answer of others: {excerpt(text)}",
            cause="`calls` of 'turned' has one answer for each call of the turn",
            hint="answer for each `call` in `steps`, under its id",
        )
    for call, part in answer["calls"].items():
        whole = {"seq": answer["seq"], **part}
        _valid("answer", whole, text)
        alone = {"seq": answer["seq"], "cmd": asked[call]}
        _fits(whole, alone, text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (math.inf, -math.inf):
        raise TooMuch(f"{cut(text, 40)} is out of all proportion")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _valid(key: str, message: Any, text: str) -> None:
    """Raise ``BadMessage`` unless ``message`` is valid under the schema that it names itself."""
    name = message.get(key) if isinstance(message, dict) else None
    if not isinstance(name, str) or name not in names(key):
        if isinstance(name, str):
            what, hint = f"there is no {key} {cut(name, 80)!r}", nearest(name[:80], names(key))
        else:
            what, hint = f"a message needs {key!r}", f"give {key!r} one of {', '.join(names(key))}"
        raise BadMessage(f"{what}: {excerpt(text)}", cause=f"each {key} is a file in schema/", hint=hint)
    if _checker(name)(message):
        return
    rule = schema(name)
    known = rule["properties"]
    if unknown := [field for field in message if field not in known]:
        raise BadMessage(
            f"{name!r} has an unknown field {cut(unknown[0], 80)!r}: {excerpt(text)}",
            cause=f"schema/{name}.json does not know it",
            hint=nearest(unknown[0], known),
        )
    if missing := [field for field in rule["required"] if field not in message]:
        raise BadMessage(
            f"{name!r} lacks the field {missing[0]!r}: {excerpt(text)}",
            cause=f"schema/{name}.json requires it",
            hint=f"it has {', '.join(rule['required'])}",
        )
    raise BadMessage(
        f"{name!r} is not valid: {excerpt(text)}",
        cause=f"schema/{name}.json: {_why(rule, message)}",
        hint=rule["description"],
    )


def _why(rule: Mapping[str, Any], value: Any) -> str:
    """Return what ``jsonschema`` says is wrong; raises ``Disagreement`` where it finds nothing."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(rule).iter_errors(value))
    if error is None:
        raise Disagreement(f"our validator and jsonschema disagree on {value!r}")
    return f"at {cut(error.json_path)}: {excerpt(error.message)}"
