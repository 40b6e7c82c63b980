"""Whether a file keeps to the schema is seen without ``jsonschema``: the same answer, for values of the kinds of TOML."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from capsound.loading import scenario_schema
from capsound.loading.keeping import surely_kept
from capsound.loading.schema import _rules

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))
VALUES: tuple[Any, ...] = (
    *(0, 1, -1, 2, 10**19, 65, True, False, Decimal("1.5"), Decimal(1), Decimal("-0.5")),
    *("any", "", "a", "a b", "1/2", "0.5", "3/0", "up to 3", "up to 03", "x" * 300, "line\nline", "root", "2\n"),
    *([], ["a"], ["a", "a"], [1], {}, {"min": 1}, {"max": 2, "min": 1}, {"odd": 1}),
)


def _changed(data: Any, random: Random) -> Any:
    """Return a copy in which one value, somewhere, is another, is gone, or has an unknown key beside it."""
    if isinstance(data, list) and data and random.random() < 0.9:
        at = random.randrange(len(data))
        return [*data[:at], _changed(data[at], random), *data[at + 1 :]]
    if isinstance(data, dict) and data and random.random() < 0.9:
        key = random.choice(sorted(data))
        if random.random() < 0.1:
            return {name: value for name, value in data.items() if name != key}
        if random.random() < 0.1:
            return data | {random.choice(("odd", "bytes", "chunk", "estimate", "grant")): random.choice(VALUES)}
        return data | {key: _changed(data[key], random)}
    return random.choice(VALUES)


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_it_says_what_jsonschema_says(path: Path) -> None:
    for schema in (_rules(), scenario_schema()):
        whole, data, random = Draft202012Validator(schema), _read(path), Random(0)
        assert surely_kept(schema, data) is whole.is_valid(data)
        right = [whole.is_valid(changed) for changed in (_changed(data, random) for _ in range(25))]
        random = Random(0)
        assert [surely_kept(schema, changed) for changed in (_changed(data, random) for _ in range(25))] == right
        assert False in right


@pytest.mark.parametrize(
    "rule",
    [
        {"multipleOf": 2},
        {"anyOf": [{"format": "date"}]},
        {"$ref": "elsewhere.json"},
        {"const": [1]},
        {"items": {"uniqueItems": True}},
    ],
)
def test_what_it_does_not_know_it_leaves_to_jsonschema(rule: dict[str, Any]) -> None:
    assert not surely_kept(rule, [[1, 1]])


def test_a_kind_of_value_that_it_does_not_know_it_leaves_to_jsonschema() -> None:
    assert surely_kept({"additionalProperties": {}}, {"a": 1})
    assert not surely_kept({"additionalProperties": {}}, {"a": 1.5})


def test_no_shipped_scenario_needs_jsonschema(monkeypatch: pytest.MonkeyPatch) -> None:
    from capsound.disciplines import KNOWN
    from capsound.loading import load_scenario, schema

    def asked() -> Draft202012Validator:
        raise AssertionError("jsonschema was asked")

    monkeypatch.setattr(schema, "_validator", asked)
    for path in SCENARIOS:
        load_scenario(path, known_disciplines=KNOWN)
