"""Whether a file keeps to its schema, seen at once: most do, and ``jsonschema`` takes a tenth of a second to load.

It only says "yes". What it does not say yes to is shown to ``jsonschema``, which knows how to say what is wrong, and
has the last word. That a yes is never wrong is a property test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any


class _Unsure(Exception):
    """A keyword, or a kind of value, that is not known here."""


def surely_kept(schema: Mapping[str, Any], value: Any) -> bool:
    """Return whether a value keeps to a schema, as far as that is seen here: ``False`` says nothing."""
    try:
        return _Keeping(schema).kept(schema, value)
    except _Unsure:
        return False


_NOTES = frozenset({"$schema", "$id", "$defs", "title", "description", "default"})

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, Decimal),
}
_KNOWN = frozenset({dict, list, str, bool, int, Decimal})


class _Keeping:
    """The rules of one schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.named: Mapping[str, Any] = schema.get("$defs", {})

    def kept(self, rule: Any, value: Any) -> bool:
        """Return whether a value keeps to a rule; raises ``_Unsure`` for what is not known here."""
        if isinstance(rule, bool):
            return rule
        if type(value) not in _KNOWN:
            raise _Unsure
        for keyword, wanted in rule.items():
            if keyword in _NOTES:
                continue
            says = _KEYWORDS.get(keyword)
            if says is None:
                raise _Unsure
            if not says(self, wanted, value, rule):
                return False
        return True

    def refers(self, reference: str, value: Any, _: Any) -> bool:
        """Judge by the rule of that name."""
        place, _, name = reference.rpartition("/")
        if place != "#/$defs" or name not in self.named:
            raise _Unsure
        return self.kept(self.named[name], value)

    def any_of(self, rules: list[Any], value: Any, _: Any) -> bool:
        """Judge by the first of several rules that is kept."""
        return any(self.kept(rule, value) for rule in rules)

    def one_of(self, rules: list[Any], value: Any, _: Any) -> bool:
        """Judge by the number of rules that are kept."""
        return sum(self.kept(rule, value) for rule in rules) == 1

    def properties(self, rules: Mapping[str, Any], value: Any, _: Any) -> bool:
        """Judge each value of a table that has a rule of its own."""
        if type(value) is not dict:
            return True
        return all(self.kept(rules[key], inner) for key, inner in value.items() if key in rules)

    def further(self, rule: Any, value: Any, whole: Mapping[str, Any]) -> bool:
        """Judge each value of a table that has none."""
        if type(value) is not dict:
            return True
        known = whole.get("properties", {})
        return all(self.kept(rule, inner) for key, inner in value.items() if key not in known)

    def items(self, rule: Any, value: Any, _: Any) -> bool:
        """Judge each entry of an array."""
        return type(value) is not list or all(self.kept(rule, inner) for inner in value)


Says = Callable[[_Keeping, Any, Any, Mapping[str, Any]], bool]


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | dict):
        raise _Unsure
    return bool(value == wanted) and isinstance(value, bool) is isinstance(wanted, bool)


def _of_kind(*kinds: type) -> Callable[[Callable[[Any, Any], bool]], Says]:
    """Make a keyword that asks nothing of values of other kinds."""
    return lambda asks: lambda _, wanted, value, __: type(value) not in kinds or asks(value, wanted)


_number, _text, _array, _table = _of_kind(int, Decimal), _of_kind(str), _of_kind(list), _of_kind(dict)

_KEYWORDS: Mapping[str, Says] = {
    "$ref": _Keeping.refers,
    "anyOf": _Keeping.any_of,
    "oneOf": _Keeping.one_of,
    "properties": _Keeping.properties,
    "additionalProperties": _Keeping.further,
    "items": _Keeping.items,
    "type": lambda _, wanted, value, __: type(value) in _TYPES.get(wanted, ()),
    "const": lambda _, wanted, value, __: _same(value, wanted),
    "enum": lambda _, wanted, value, __: any(_same(value, each) for each in wanted),
    "minimum": _number(lambda value, least: bool(value >= least)),
    "maximum": _number(lambda value, most: bool(value <= most)),
    "minLength": _text(lambda value, least: len(value) >= least),
    "maxLength": _text(lambda value, most: len(value) <= most),
    "pattern": _text(lambda value, pattern: re.search(pattern, value) is not None),
    "minItems": _array(lambda value, least: len(value) >= least),
    "maxItems": _array(lambda value, most: len(value) <= most),
    "required": _table(lambda value, keys: value.keys() >= set(keys)),
    "minProperties": _table(lambda value, least: len(value) >= least),
}
