"""``--json`` of every command keeps to its published schema: verdicts of every kind, errors, and files that are saved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from capsound_checker.commands import cli
from capsound_checker.commands.schema import NAMES
from capsound_checker.display.schemas import FOLDER, schema_of
from capsound_checker.wire.template import app_template

Runs = Callable[..., Any]
DOCS = Path(__file__).resolve().parents[2] / "docs"

PRINTED = sorted(set(NAMES) - {"scenario"})


@cache
def validator(name: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema_of(name))
    return Draft202012Validator(schema_of(name))


def kept(text: str, name: str) -> Any:
    """Return what is printed, which keeps to the schema of that name, and says so."""
    told = json.loads(text)
    validator(name).validate(told)
    for one in told if isinstance(told, list) else [told]:
        assert re.fullmatch(r"capsound\.[a-z]+/[1-9][0-9]*", one["format"])
    return told


ADAPTERS = {
    "refuses_nothing": "return True",
    "racy": "return budget['spent'] + amount <= budget['cap']",
    "broken": "raise RuntimeError('out of order')",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, source: dict[str, str]) -> Path:
    path = tmp_path_factory.mktemp("json")
    for name, body in ADAPTERS.items():
        (path / f"{name}.py").write_text(
            "from capsound.adapter import Adapter, Gate\n\n\n"
            "class Counter(Adapter):\n"
            "    gate = Gate.CHECK\n\n"
            "    def open(self, cap):\n        return {'cap': cap, 'spent': 0}\n\n"
            f"    def check(self, budget, amount):\n        {body}\n\n"
            "    def record(self, budget, amount):\n        budget['spent'] += amount\n"
        )
    (path / "app.py").write_text(app_template())
    for name, text in source.items():
        (path / f"{name}.toml").write_text(text)
    (path / "league.toml").write_text(
        "[league]\nprograms = 3\nschedules = 3\n"
        + "".join(
            f'[[target]]\nname = "{name}"\nkind = "counter"\nregistry = "local"\nadapter = "{name}.py:Counter"\n'
            'promise = "It stops."\nsource = "README"\n'
            for name in ("racy", "broken")
        )
    )
    (path / "folder").mkdir()
    for name in ("race", "bad"):
        (path / "folder" / f"{name}.toml").write_text(source[name])
    log = [
        {"event": "open", "root": "r", "cap": 5},
        {"event": "reserve", "account": "r", "hold": "h", "amount": 5, "agent": "a"},
        {"event": "send", "hold": "h", "call": "c"},
        {"event": "bill", "call": "c", "amount": 9},
        {"event": "settle", "hold": "h", "amount": 9},
    ]
    (path / "violated.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log))
    (path / "unknown.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log[:3]))
    (path / "nothing.jsonl").write_text("nothing\n")
    history = [
        {"history": 1},
        {"client": 0, "do": "open", "on": 0, "amount": 1, "called": 1, "returned": 2},
        {"client": 0, "do": "reserve", "on": 0, "new": 0, "amount": 1, "called": 3, "returned": 4},
        {"client": 1, "do": "reserve", "on": 0, "new": 1, "amount": 1, "called": 3, "returned": 4},
    ]
    for name, lines in {"racy": history, "quiet": history[:2]}.items():
        (path / f"{name}.history").write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused = {**history[3], "outcome": "refused"}
    (path / "fine.history").write_text("".join(json.dumps(line) + "\n" for line in [*history[:3], refused]))
    return path


CASES: list[tuple[str, int, str]] = [
    ("solve sound.toml --workers 1", 0, "solve"),
    ("solve race.toml --workers 1", 1, "solve"),
    ("solve tools.toml --workers 1", 1, "solve"),
    ("solve handles.toml --workers 1", 1, "solve"),
    ("solve race.toml --steps 2 --workers 1", 2, "solve"),
    ("solve race.toml --workers 1 --html race.html", 1, "solve"),
    ("solve folder --workers 1", 65, "solve"),
    ("solve bad.toml --workers 1", 65, "solve"),
    ("solve nowhere.toml --workers 1", 65, "solve"),
    ("replay race.toml cs1:60/0.0.1.1.2.2", 1, "replay"),
    ("replay race.toml cs1:60/0.0.0.1.1.1", 0, "replay"),
    ("replay race.toml cs1:60/", 2, "replay"),
    ("replay race.toml nonsense", 65, "error"),
    ("replay racy.py:Counter ck1:open.0.0.0.1/reserve.0.0.0.1/reserve.0.0.1.1/send.0.0.0.0.1/send.0.1.0.0.1", 1, "replay"),
    ("audit violated.jsonl --cap 5", 1, "audit"),
    ("audit violated.jsonl --cap 5 --html audit.html", 1, "audit"),
    ("audit unknown.jsonl", 2, "audit"),
    ("audit nothing.jsonl", 65, "error"),
    ("history racy.history", 1, "history"),
    ("history quiet.history", 2, "history"),
    ("history fine.history", 0, "history"),
    ("history nowhere", 65, "error"),
    ("smoke racy.py:Counter", 0, "smoke"),
    ("smoke refuses_nothing.py:Counter", 0, "smoke"),
    ("smoke broken.py:Counter", 65, "smoke"),
    ("smoke nowhere.py:Counter", 65, "error"),
    ("check racy.py:Counter --driver programs --programs 20 --budget 20s", 1, "check"),
    ("check broken.py:Counter --driver programs --programs 20 --budget 20s", 2, "check"),
    ("check nowhere.py:Counter", 65, "error"),
    ("ratio gen:chat --sessions 3 --resamples 0", 0, "ratio"),
    ("ratio gen:chat --sessions 3 --resamples 5 --cap 1000000", 0, "ratio"),
    ("ratio nowhere.csv", 65, "error"),
    ("wire --cap 600tokens -- python3 app.py racy", 1, "wire"),
    ("wire --cap 600tokens --runs 3 -- python3 app.py cured", 2, "wire"),
    ("wire --cap 600tokens -- no-such-command", 65, "error"),
    ("clients", 0, "clients"),
    ("clients no-such-client", 65, "error"),
    ("league league.toml --environments kept", 2, "league"),
    ("league nowhere.toml", 65, "error"),
    ("prove 1", 0, "prove"),
    ("prove nothing", 65, "error"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "status", "schema"), CASES, ids=[case[0][:60] for case in CASES])
def test_what_is_printed_keeps_to_its_schema(
    command: str, status: int, schema: str, place: Path, capsound_once: Runs
) -> None:
    words, dash, rest = command.partition(" -- ")
    ran = capsound_once(*words.split(), "--json", *(dash + rest).split(), cwd=place)
    kept(ran.out, schema)
    assert ran.status == status


def test_what_is_saved_keeps_to_its_schema(place: Path, capsound: Runs) -> None:
    command = "check racy.py:Counter --driver programs --programs 20 --budget 20s --save saved"
    assert capsound(*command.split(), cwd=place).status == 1
    files = sorted((place / "saved").iterdir())
    assert files
    for file in files:
        told = kept(file.read_text(), "saved")
        again = capsound("replay", "racy.py:Counter", file, "--json", cwd=place)
        assert told["anomaly"] in [found["anomaly"] for found in kept(again.out, "replay")["found"]]


def test_every_command_with_json_has_a_case() -> None:
    with_json = {name for name, c in cli.commands.items() if any("--json" in p.opts for p in c.params)}
    assert with_json == {command.split()[0] for command, _, _ in CASES}
    assert {schema for _, _, schema in CASES} | {"saved", "run"} == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_a_schema_is_printed_as_it_is_published(name: str, capsound: Runs) -> None:
    ran = capsound("schema", name)
    assert ran.status == 0
    assert json.loads(ran.out) == json.loads((FOLDER / f"{name}.json").read_text())


def closed(rule: dict[str, Any]) -> bool:
    """Whether a document that a schema describes can have no field that the schema does not name."""
    if "anyOf" in rule:
        return True  # each part is asked for itself
    return rule.get("type") != "object" or rule["additionalProperties"] is False


@pytest.mark.parametrize("name", PRINTED)
def test_no_document_may_have_a_field_that_is_not_published(name: str) -> None:
    schema = schema_of(name)
    assert closed(schema)
    assert all(closed(rule) for rule in schema.get("$defs", {}).values())


def test_a_field_that_is_not_published_is_noticed(place: Path, capsound_once: Runs) -> None:
    """The test of the test."""
    told = json.loads(capsound_once("replay", "race.toml", "cs1:60/", "--json", cwd=place).out)
    assert validator("replay").is_valid(told)
    assert not validator("replay").is_valid({**told, "more": 1})
    assert not validator("replay").is_valid({key: value for key, value in told.items() if key != "format"})
