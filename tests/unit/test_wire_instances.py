"""Small instances of JSON schemas: each satisfies its schema, or the reason is said; and no schema takes for ever."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from capsound_checker.wire.dialects.instances import NoInstance, instance
from capsound_checker.wire.dialects.patterns import NotRead, shortest

TREE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["name", "children", "next"],
        }
    },
    "$ref": "#/$defs/Node",
}
FOUND: list[tuple[Any, Any]] = [
    ({}, {}),
    ({"type": "string"}, "text"),
    ({"type": "string", "maxLength": 2}, "te"),
    ({"type": "string", "minLength": 6}, "textaa"),
    ({"type": "string", "format": "date"}, "2026-01-01"),
    ({"type": "integer"}, 1),
    ({"type": "integer", "exclusiveMaximum": 1}, 0),
    ({"type": "integer", "minimum": 8, "multipleOf": 7}, 14),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
    ({"type": "integer", "description": "{minimum: 2}"}, 2),
    ({"type": "integer", "description": "minimum: 2; maximum: 9007199254740991."}, 2),
    ({"type": "array", "items": {"type": "boolean"}}, [False]),
    ({"type": "array", "maxItems": 0}, []),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, [1, 2, 3]),
    ({"enum": ["a", "b"]}, "a"),
    ({"const": None}, None),
    ({"type": ["null", "string"]}, None),
    ({"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"type": "object"}]}, {"a": "text"}),
    ({"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "not": {"properties": {"a": {"const": 1}}}},
     {"a": 2}),
    (TREE, {"name": "text", "children": [{"name": "text", "children": [], "next": None}], "next": None}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "wanted"), FOUND)
def test_an_instance(schema: Any, wanted: Any) -> None:
    assert instance(schema) == wanted
    assert Draft202012Validator(schema).is_valid(wanted)


MANY = {"type": "object", "properties": {k: {"$ref": "#"} for k in "abcde"}, "required": list("abcde")}
NONE: list[tuple[Any, str]] = [
    ({"not": {}}, "should not be valid"),
    ({"enum": []}, "allows nothing"),
    ({"$ref": "https://example.com/x.json"}, "outside of it"),
    ({"$ref": "#/$defs/x"}, "not there"),
    (MANY, "allows nothing"),
    ({"anyOf": [MANY, {"type": "null"}]}, "in too many ways"),
    ({"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}] * 10}}, "$ref": "#/$defs/A"}, "in too many ways"),
    ({"type": "string", "pattern": "a{500}(a+)+$b"}, "loops too often"),
    ({"type": "string", "pattern": "("}, "ends too early"),
    ({"type": "string", "pattern": "^a$", "minLength": 90}, "has to be long"),
    ({"type": 3}, "cannot be read|allows nothing"),
    ({"minimum": "x", "type": "integer"}, "cannot be read"),
]


@pytest.mark.parametrize(("schema", "why"), NONE)
def test_no_instance(schema: Any, why: str) -> None:
    with pytest.raises(NoInstance, match=why):
        instance(schema)


simple = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": st.integers(0, 9), "format": st.just("uuid")}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={
            "minimum": st.integers(-9, 9),
            "exclusiveMinimum": st.integers(-9, 9),
            "multipleOf": st.integers(1, 5),
        },
    ),
    st.fixed_dictionaries({"enum": st.lists(st.none() | st.booleans() | st.text(max_size=3), min_size=1, max_size=3)}),
)


def compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.dictionaries(st.sampled_from("abcd"), inner, max_size=3).flatmap(
        lambda properties: st.lists(st.sampled_from(sorted(properties) or ["a"]), unique=True).map(
            lambda required: {"type": "object", "properties": properties, "required": required}
        )
    )
    arrays = st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 3)})
    return objects | arrays | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})


@given(st.recursive(simple, compound, max_leaves=8))
def test_every_schema_of_the_usual_kind_has_one(schema: Any) -> None:
    made = instance(schema)
    Draft202012Validator(schema).validate(made)
    assert made == instance(schema)


PATTERNS = [
    (r"^\d{3}-\d{2}$", "000-00"),
    (r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", "a@a.aa"),
    ("^(foo|ba)r?$", "ba"),
    ("(?P<year>[12][0-9]{3})(?:-x)*", "1000"),
    (r"\u0041\x42", "AB"),
    ("[]a]", "]"),
    ("a{", "a{"),
    (r"[^\x21-\x7e]", " "),
]


@pytest.mark.parametrize(("pattern", "text"), PATTERNS)
def test_the_shortest_text_of_a_pattern(pattern: str, text: str) -> None:
    assert shortest(pattern) == text
    assert re.search(pattern, text)


@given(st.text("ab[]()^-|*+?{}1,\\d.$", max_size=12))
def test_any_pattern_is_read_or_refused(pattern: str) -> None:
    with contextlib.suppress(NotRead):
        assert isinstance(shortest(pattern), str)
