"""Readers beside the audit: histories and the answers of a harness pass the same front door."""

from __future__ import annotations

import json
import random
import sys
from typing import Any

import pytest

from capsound.errors import CapsoundError
from capsound_checker.histories.history import BadHistory, History, HistoryVerdict, check
from capsound_checker.intake.limits import TooMuch, excerpt, read_json
from capsound_checker.remote.process import Child, HarnessDied
from capsound_checker.remote.protocol import BadMessage, decode

HOSTILE = [
    "[" * 100_000,
    "[" * 500 + "]" * 500,
    '{"a": ' + "9" * 100_000 + "}",
    '{"a": ' + "9" * 1_000 + "}",
    '{"a": "' + "x" * 100_000 + '"}',
    '{"' + "x" * 100_000 + '": 1}',
    '{"\\u001b[31mred\\n::error::": 1}',
    "\x1b]0;title\x07",
    '{"a": 1e400}',
    "null",
    '{"a": "\\ud800"}',
]
OPEN = {"client": 0, "do": "open", "on": 0, "amount": 10, "called": 1, "returned": 2}


def shown(error: CapsoundError) -> str:
    return f"{error}{error.cause}{error.hint}"


def test_json_is_read_within_limits() -> None:
    assert read_json('{"a": [1, 2.5]}') == {"a": [1, 2.5]}
    for text in HOSTILE[:4]:
        with pytest.raises(TooMuch):
            read_json(text)
    with pytest.raises(json.JSONDecodeError):
        read_json("{")
    assert excerpt("a\x1b\n") == "a\\x1b"
    assert excerpt("x" * 300) == "x" * 200 + "... (300 characters)"


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("place", ["head", "field", "line"])
def test_a_hostile_history_is_an_error_of_one_line(text: str, place: str) -> None:
    head, line = '{"history": 1}', json.dumps(OPEN)
    lines = {
        "head": [text, line],
        "field": [f'{{"history": 1, "seed": {text}}}', line],
        "line": [head, line, text],
    }[place]
    with pytest.raises(BadHistory) as error:
        History.read(lines, "run.jsonl")
    assert len(shown(error.value)) < 1_000
    assert shown(error.value).isprintable()


def test_what_did_not_come_back_is_printed_as_text() -> None:
    head = {"history": 1, "hung": ["\x1b[31mRED\x1b]0;title\x07", "x\n::error::pwn", "y" * 9_000]}
    found = check(History.read([json.dumps(head), json.dumps(OPEN)], "run.jsonl"))
    assert found.anomaly == "hang"
    assert all(line.isprintable() and len(line) <= 200 for line in found.window)
    assert "\\x1b[31mRED" in found.window[0]


REQUEST: dict[str, Any] = {"cmd": "reset", "seq": 3}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("place", ["line", "value", "field"])
def test_a_hostile_answer_is_an_error_of_one_line(text: str, place: str) -> None:
    line = {
        "line": text,
        "value": f'{{"answer": "done", "seq": 3, "value": {text}}}',
        "field": f'{{"answer": "done", "seq": {text}, "value": null}}',
    }[place]
    if place == "value" and text == "null":
        return
    with pytest.raises(BadMessage) as error:
        decode(line.encode("utf-8", "surrogatepass"), REQUEST)
    assert len(shown(error.value)) < 2_000
    assert shown(error.value).isprintable()


def test_what_a_harness_says_before_it_dies_is_printed_as_text() -> None:
    program = "import sys; sys.stderr.write('\\x1b[31mred\\r\\n::error::x' + 'y' * 5000); print('half\\x1b', end='')"
    child = Child((sys.executable, "-c", program))
    with pytest.raises(HarnessDied) as error:
        child.exchange(b"{}\n", 20.0)
    told = shown(error.value)
    assert all(line.isprintable() for line in told.split("\n"))
    assert "\\x1b[31mred" in told
    assert len(told) < 2_500


def test_no_spoilt_history_is_a_bug() -> None:
    rnd = random.Random(18)
    steps = [
        OPEN,
        {"client": 0, "do": "reserve", "on": 0, "new": 0, "amount": 4, "called": 3, "returned": 5},
        {"client": 1, "do": "settle", "on": 0, "amount": 4, "called": 6, "returned": 9},
    ]
    whole = "\n".join(map(json.dumps, [{"history": 1, "strict": True, "seed": 3, "hung": []}, *steps]))
    bits = [
        "{",
        "}",
        "[",
        "]",
        '"',
        ",",
        ":",
        "-",
        "1e999",
        "9" * 70,
        "true",
        "null",
        "\n",
        "\x1b",
        "\u202e",
        '"do"',
        "0.5",
    ]
    for _ in range(1_000):
        text = whole
        for _ in range(rnd.randrange(1, 4)):
            at = rnd.randrange(len(text))
            end = min(len(text), at + rnd.choice([0, 1, 5, 30]))
            text = text[:at] + rnd.choice([*bits, text[at:end] * 2]) + text[end:]
        found: HistoryVerdict | CapsoundError
        try:
            found = check(History.read(text.split("\n"), "run.jsonl"))
        except CapsoundError as error:
            found = error
        if isinstance(found, CapsoundError):
            assert found.exit_status == 65, text
            assert shown(found).isprintable(), text
        else:
            assert all(line.isprintable() for line in found.window)
