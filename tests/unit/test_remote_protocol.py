"""The messages of the protocol: the schemas, our validator beside jsonschema, and what a wrong line is told."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from capsound.adapter import OPERATIONS, Gate
from capsound.events import TOLD
from capsound_checker.remote import harness, protocol
from capsound_checker.remote.process import Address, BadAddress, is_address, parse_address, python_address
from capsound_checker.remote.protocol import ODD, SCHEMAS, BadMessage, compiled, decode, encode, names, schema

ALL = sorted(path.stem for path in SCHEMAS.glob("*.json"))


@pytest.mark.parametrize("name", ALL)
def test_schema_is_a_schema_and_names_itself(name: str) -> None:
    rule = schema(name)
    Draft202012Validator.check_schema(rule)
    assert rule["title"] == name
    assert rule["$id"] == f"tag:capsound,2026:protocol/{protocol.VERSION}/{name}"
    assert rule["additionalProperties"] is False
    assert rule["description"].endswith(".")


def test_every_operation_has_its_request_and_every_message_is_of_one_kind() -> None:
    assert set(OPERATIONS) <= set(names("cmd"))
    assert sorted([*names("cmd"), *names("answer")]) == ALL


def test_catalogues_are_those_of_the_model() -> None:
    started = schema("started")["properties"]
    assert started["gate"]["enum"] == [gate.value for gate in Gate]
    assert started["offers"]["items"]["enum"] == list(OPERATIONS)
    assert started["odd"]["items"]["enum"] == list(ODD)
    assert list(schema("balances")["$defs"]["value"]["properties"]) == list(TOLD)
    assert repr(dict(harness.ODD)) == repr(dict(ODD))
    assert set(harness.SUBJECTS) == set(OPERATIONS) - {"call"}


def test_the_python_harness_knows_the_fields_of_each_request() -> None:
    for cmd, fields in harness.SUBJECTS.items():
        assert set(schema(cmd)["properties"]) == {"seq", "cmd", *fields}


# ------------------------------------------------------------------------------------------ two validators

plain = st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from([0.0, 1.0, 1.5, "", "s0", "nan", "turn"])
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
)


def like(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that are valid under a rule, or nearly."""
    near: list[st.SearchStrategy[Any]] = [anything]
    if "const" in rule:
        near = [st.just(rule["const"])] * 9 + near
    if "enum" in rule:
        near = [st.sampled_from(rule["enum"])] * 9 + near
    if "anyOf" in rule:
        near = [like(each) for each in rule["anyOf"]] + near
    types = rule.get("type", [])
    for kind in [types] if isinstance(types, str) else types:
        if kind == "object":
            known = {name: like(inner) for name, inner in rule.get("properties", {}).items()}
            other = rule.get("additionalProperties")
            more = st.dictionaries(
                st.sampled_from("st"), like(other) if isinstance(other, dict) else anything, max_size=1
            )
            full = st.fixed_dictionaries(known)
            near = [full, full, full, st.fixed_dictionaries({}, optional=known), *near]
            near.append(st.tuples(full, more).map(lambda both: {**both[0], **both[1]}))
            near.append(more)
        elif kind == "array":
            near = [st.lists(like(rule.get("items", {})), max_size=2)] * 4 + near
        else:
            basic = {
                "string": st.sampled_from(["s0", "x", ""]),
                "integer": st.integers(-1, 9),
                "number": st.floats(-1, 1),
            }
            near = [basic.get(kind, plain)] * 6 + near
    return st.one_of(near)


RULES = [schema(name) for name in ALL] + [r["$defs"]["value"] for name in ALL if "$defs" in (r := schema(name))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("title", "value"))
def test_our_validator_agrees_with_jsonschema(rule: dict[str, Any]) -> None:
    ours, theirs = compiled(rule), Draft202012Validator(rule)

    @given(like(rule))
    def agrees(value: Any) -> None:
        assert ours(value) is theirs.is_valid(value)

    agrees()


def test_a_keyword_that_our_validator_does_not_know_is_not_passed_over() -> None:
    with pytest.raises(KeyError, match="maxLength"):
        compiled({"type": "string", "maxLength": 3})


# -------------------------------------------------------------------------------------- what a line is told

RESERVE = {"seq": 7, "cmd": "reserve", "scope": "s0", "amount": 5}


def told(line: bytes | dict[str, Any], request: dict[str, Any] = RESERVE) -> tuple[str, str, str]:
    with pytest.raises(BadMessage) as caught:
        decode(json.dumps(line).encode() if isinstance(line, dict) else line, request)
    return caught.value.message, caught.value.cause, caught.value.hint


def test_a_good_answer_is_returned() -> None:
    answer = {"seq": 7, "answer": "done", "value": "h0", "observed": {"s0": {"spent": 0, "remaining": 5}}}
    assert decode(json.dumps(answer).encode(), RESERVE) == answer
    assert json.loads(encode(RESERVE)) == RESERVE
    assert encode(RESERVE).endswith(b"}\n")


def test_a_stray_print_is_quoted() -> None:
    message, cause, hint = told(b"balance is now 5\n")
    assert message == "the harness printed a line that is not JSON: balance is now 5"
    assert "standard output is the protocol's alone" in cause
    assert hint.startswith("print to standard error instead")


@pytest.mark.parametrize("line", [b"NaN", b"[1, Infinity]", b"\xff\xfe", b"", b"[" * 100_000, b"{'seq': 7}"])
def test_what_is_nearly_json_is_told_apart(line: bytes) -> None:
    message, _, _ = told(line)
    assert ("cannot be used" if line.startswith(b"[[") else "not JSON") in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("change", "said", "cure"),
    [
        ({"ammount": 1}, "'done' has an unknown field 'ammount'", "known: seq, answer, value, observed"),
        ({"valu": 1}, "'done' has an unknown field 'valu'", "did you mean 'value'?"),
        ({"answer": "ok"}, "there is no answer 'ok'", "known:"),
        ({"answer": "refuse", "why": ""}, "there is no answer 'refuse'", "did you mean 'refused'?"),
        ({"answer": 5}, "a message needs 'answer'", "give 'answer' one of"),
        ({"seq": 8}, "the answer has seq 8, the request has seq 7", "copy `seq` from the request"),
        ({"seq": "7"}, "'done' is not valid", "It was done"),
        ({"value": None}, "the value of 'done' is no answer to 'reserve'", "The value is the id of the hold."),
        ({"value": ""}, "the value of 'done' is no answer to 'reserve'", "The value is the id of the hold."),
        ({"observed": {"s0": {"spend": 1}}}, "'done' is not valid", "It was done"),
    ],
)
def test_a_wrong_field_is_named_with_its_schema_and_its_cure(change: dict[str, Any], said: str, cure: str) -> None:
    message, cause, hint = told({"seq": 7, "answer": "done", "value": "h0", **change})
    assert message.startswith(said)
    assert "schema/" in cause or "seq" in cause
    assert hint.startswith(cure) or cure in hint


def test_a_missing_field_is_named() -> None:
    message, cause, _ = told({"seq": 7, "answer": "done"})
    assert message.startswith("'done' lacks the field 'value'")
    assert cause == "schema/done.json requires it"


@pytest.mark.parametrize("kind", ["started", "waiting", "raised"])
def test_an_answer_to_another_kind_of_request_is_turned_away(kind: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "waiting": {"call": "c1", "for": "turn"},
        "raised": {"why": ""},
        "started": {
            "version": 1,
            "harness": dict.fromkeys(("name", "language", "implementation", "version"), "x"),
            "gate": "reserve",
            "offers": ["open"],
        },
    }
    message, _, hint = told({"seq": 7, "answer": kind, **fields[kind]})
    assert message.startswith(f"'reserve' was answered with '{kind}'")
    assert hint.startswith("answer with one of done, refused")


CALLED = {"cmd": "call", "call": "c1", "scope": "s0", "estimate": 2}
REPLIED = {"cmd": "reply", "call": "c2", "bill": 1}
TURN: dict[str, Any] = {"seq": 7, "cmd": "turn", "steps": [CALLED, {**REPLIED, "after": 3}]}
PARTS: dict[str, Any] = {
    "c1": {"answer": "waiting", "call": "c1", "for": "turn"},
    "c2": {"answer": "done", "value": None},
}


def test_the_answer_to_a_turn_is_one_for_each_call() -> None:
    answer = {"seq": 7, "answer": "turned", "calls": PARTS}
    assert decode(json.dumps(answer).encode(), TURN) == answer
    assert json.loads(encode(TURN)) == TURN
    assert decode(b'{"seq":7,"answer":"skipped","reason":"what is a turn"}', TURN)["answer"] == "skipped"


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ({}, "the turn is of c1, c2, and its answer of others"),
        ({**PARTS, "c3": PARTS["c2"]}, "the turn is of c1, c2, and its answer of others"),
        ({**PARTS, "c1": {"answer": "turned"}}, "'turned' is not valid"),
        ({**PARTS, "c1": {"answer": "waiting", "for": "turn"}}, "'waiting' lacks the field 'call'"),
        ({**PARTS, "c2": {"answer": "done", "value": 5}}, "the value of 'done' is no answer to 'reply'"),
        ({**PARTS, "c2": {"answer": "refused", "wy": ""}}, "'refused' has an unknown field 'wy'"),
    ],
)
def test_a_wrong_part_of_a_turn_is_named(calls: dict[str, Any], said: str) -> None:
    message, _, hint = told({"seq": 7, "answer": "turned", "calls": calls}, TURN)
    assert message.startswith(said)
    assert hint


@pytest.mark.parametrize(
    "step", [{**CALLED, "bill": 1}, {**REPLIED, "after": -1}, {**REPLIED, "cmd": "fail"}, {"cmd": "call"}]
)
def test_only_calls_and_replies_can_share_a_turn(step: dict[str, Any]) -> None:
    with pytest.raises(BadMessage, match="'turn' is not valid"):
        encode({"seq": 1, "cmd": "turn", "steps": [step]})


def test_another_version_is_turned_away() -> None:
    message, cause, _ = told({"seq": 7, "answer": "started", "version": 2, "harness": {}, "gate": "call", "offers": []})
    assert message.startswith("'started' is not valid")
    assert "schema/started.json: at $" in cause


def test_our_own_requests_are_checked_too() -> None:
    with pytest.raises(BadMessage, match="'reserve' has an unknown field 'amuont'"):
        encode({"seq": 1, "cmd": "reserve", "scope": "s0", "amuont": 1})
    with pytest.raises(BadMessage, match="'reserve' is not valid"):
        encode({"seq": 1, "cmd": "reserve", "scope": "s0", "amount": "5"})


# ------------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("cmd:node harness.js", Address(("node", "harness.js"))),
        ("cmd[timeout=0.5]:node 'my harness.js' a:b", Address(("node", "my harness.js", "a:b"), timeout=0.5)),
        ("cmd[start=60,timeout=9]:./h]:x", Address(("./h]:x",), 9.0, 60.0)),
        ("cmd[]:x", Address(("x",))),
    ],
)
def test_an_address_says_the_command_and_its_time_limits(text: str, address: Address) -> None:
    assert is_address(text)
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("my_adapter.py:Mine", "is no address of a harness"),
        ("cmd[timeout=5 node", "is no address of a harness"),
        ("cmd:", "names no command"),
        ("cmd:node 'x", "is no command: No closing quotation"),
        ("cmd[timeuot=5]:x", "there is no setting 'timeuot'"),
        ("cmd[timeout=0]:x", "timeout is '0', and not a number of seconds above 0"),
        ("cmd[timeout=nan]:x", "timeout is 'nan'"),
        ("cmd[start]:x", "start is ''"),
    ],
)
def test_a_wrong_address_is_told(text: str, said: str) -> None:
    with pytest.raises(BadAddress) as caught:
        parse_address(text)
    assert said in caught.value.message
    assert caught.value.exit_status == 64


def test_a_python_address_runs_the_harness_with_the_target() -> None:
    address = python_address("/some where/python", "my adapter.py:Mine", timeout=3)
    assert address.command[0] == "/some where/python"
    assert address.command[-1] == "my adapter.py:Mine"
    assert address.timeout == 3
    assert parse_address(str(address)) == address
    assert shlex.join(address.command) in str(address)


def test_every_error_of_the_page_is_one_that_is_said() -> None:
    root = SCHEMAS.parents[3]
    rows = (root / "docs/protocol.md").read_text().split("| --- | --- |\n")[1].splitlines()
    tests = "".join(
        (root / f"tests/{name}.py").read_text() for name in ("unit/test_remote_protocol", "harness/test_remote")
    )
    assert len(rows) >= 7
    for row in rows:
        said = row.split("|")[1].strip().strip("`").removeprefix("the harness ")
        said = said.replace("5 s", "").replace("'nodee'", "").strip()
        assert said in tests.replace("\\", ""), said
