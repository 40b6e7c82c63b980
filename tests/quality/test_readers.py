"""Everything that capsound reads, spoilt at random: it ends with a status that is documented, and with a screen at most.

The inputs are drawn from a seed, so that a failure comes again; ``--deep`` draws five times as many.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from capsound.errors import CapsoundError
from capsound_checker.check.tokens import (
    ASYNC_PREFIX,
    PREFIX,
    RACE_PREFIX,
    async_token,
    parse_async_token,
    parse_race_token,
    parse_token,
    saved_in,
)
from capsound_checker.display.printing import SCREEN
from capsound_checker.display.telling import error_data, error_text
from capsound_checker.histories.history import History, check
from capsound_checker.histories.telling import data
from capsound_checker.remote.protocol import decode

Runs = Callable[..., Any]
Read = Callable[[bytes, Path, Runs], tuple[int, str]]

EACH = 225
DEEP = 1125

SCENARIO = b"""title = "three agents"
cap = 60
unit = "tokens"
discipline = "reserve-settle"

[[agents]]
name = "worker"
count = 3
slice = { min = 10, max = 20 }

[[calls]]
name = "call"
estimate = { min = 3, max = 31 }
bill = 23

[assume]
A1 = false
shortfall = "3/2"
"""

WORKLOAD = b"""session,bytes,input_tokens,output_tokens,max_output,price_in,price_out,unit
a,4000,1000,500,800,3,15,micro-USD
a,6000,1500,200,800,3,15,micro-USD
b,100,30,7,64,0.5,1.25,micro-USD
"""

EVENTS: list[dict[str, Any]] = [
    {"event": "open", "root": "r", "cap": 60},
    {"event": "reserve", "account": "r", "hold": "h1", "amount": 31, "agent": "a"},
    {"event": "send", "hold": "h1", "call": "c1"},
    {"event": "bill", "call": "c1", "amount": 23},
    {"event": "settle", "hold": "h1", "amount": 23},
    {"event": "delegate", "parent": "r", "child": "s", "amount": 10},
    {"event": "close", "child": "s"},
]

FOREIGN: list[dict[str, Any]] = [
    {"time": f"2026-05-01T12:00:0{n}Z", "kind": "call", "id": f"c{n}", "usage": {"in": 100 * n, "out": 7}, "cost": 0.25}
    for n in range(1, 5)
]

MAPPING = b"""title = "calls"
unit = "micro-USD"

[[rules]]
name = "call"
when = { kind = "call" }

[[rules.emit]]
event = "reserve"
account = { value = "root" }
hold = "id"
amount = { sum = ["usage/in", { field = "usage/out", default = 0 }] }
at = "time"

[[rules.emit]]
event = "send"
hold = "id"
call = "id"
at = "time"

[[rules.emit]]
event = "bill"
call = "id"
amount = { field = "cost", scale = "1000000", round = "up" }
at = "time"
"""

HISTORY: list[dict[str, Any]] = [
    {"history": 1, "complete": True, "hung": []},
    {"client": 0, "do": "open", "on": 0, "amount": 9, "called": 1, "returned": 2},
    {"client": 0, "do": "reserve", "on": 0, "new": 0, "amount": 5, "called": 3, "returned": 6},
    {"client": 1, "do": "reserve", "on": 0, "new": 1, "amount": 5, "called": 4, "returned": 5, "outcome": "refused"},
    {"client": 0, "do": "settle", "on": 0, "amount": 4, "called": 7, "returned": 8},
    {"client": 1, "do": "spent", "on": 0, "value": 4, "called": 9, "returned": 10},
]

SCHEDULE = {"program": {"cap": 9, "agents": [[3, 2], [4, 4]]}, "choices": [0, 1, 1, 0], "fifo": False}

SAVED = {"format": "capsound.saved/1", "token": "", "history": [json.dumps(line) for line in HISTORY]}

ANSWERS: list[tuple[str, dict[str, Any]]] = [
    ("reserve", {"seq": 1, "answer": "done", "value": "h1", "observed": {"a0": {"spent": 0, "remaining": 9}}}),
    ("start", {"seq": 1, "answer": "started", "version": 1, "name": "x", "gate": "reserve", "offers": ["open"]}),
    ("call", {"seq": 1, "answer": "waiting", "for": "provider"}),
    ("reserve", {"seq": 1, "answer": "errored", "message": "no", "traceback": "File x"}),
    ("turn", {"seq": 1, "answer": "turned", "calls": {"c1": {"answer": "waiting", "for": "provider"}}}),
]


def lines(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


# ------------------------------------------------------------------------------------------------- the readers


def harmless(line: str) -> bool:
    """Whether a terminal and a workflow do nothing with a line but show it."""
    return line.isprintable() and not line.lstrip().startswith("::") and "##[" not in line


def fit_to_print(text: str) -> bool:
    """Whether a text is harmless, and fits a screen."""
    every = text.split("\n")
    return len(every) <= SCREEN + 4 and all(harmless(line) and len(line) < 2_000 for line in every)


def told(read: Callable[[], object]) -> tuple[int, str]:
    """Return what a command would end with, and all that it would print of an error."""
    try:
        read()
    except CapsoundError as error:
        json.dumps(error_data(error))
        return error.exit_status, error_text(error)
    return 0, ""


def by_command(*arguments: str) -> Read:
    def read(content: bytes, place: Path, capsound: Runs) -> tuple[int, str]:
        (place / "input").write_bytes(content)
        ran = capsound(*arguments, cwd=place)
        assert all(map(harmless, ran.out.split("\n"))), ran.out[:2000]
        return ran.status, ran.err

    return read


def token(content: bytes, place: Path, capsound: Runs) -> tuple[int, str]:
    text = content.decode("utf-8", "replace")
    if text.startswith(PREFIX):
        return told(lambda: parse_token(text))
    if text.startswith(RACE_PREFIX):
        return told(lambda: parse_race_token(text))
    if text.startswith(ASYNC_PREFIX):
        return told(lambda: parse_async_token(text))
    ran = capsound("replay", "race.toml", "--", text, cwd=place)
    return ran.status, ran.err


def saved(content: bytes, place: Path, _: Runs) -> tuple[int, str]:
    (place / "input").write_bytes(content)

    def read() -> None:
        _, recorded = saved_in(place / "input")
        if recorded:
            data(check(History.read(recorded, "input")))

    return told(read)


def answer(content: bytes, _: Path, __: Runs) -> tuple[int, str]:
    """Read it as the answer to each request; return what came of the one that it fits best."""
    turn = {"steps": [{"cmd": "call", "call": "c1"}]}
    ends = [told(lambda cmd=cmd: decode(content, {"seq": 1, "cmd": cmd, **turn})) for cmd, _ in ANSWERS]  # type: ignore[misc]
    return min(ends)


@dataclass(frozen=True)
class Reader:
    read: Read
    whole: tuple[bytes, ...]


READERS = {
    "scenario": Reader(by_command("replay", "input", "cs1:60/"), (SCENARIO,)),
    "workload": Reader(by_command("ratio", "input", "--resamples", "0", "--strategy", "bytes"), (WORKLOAD,)),
    "log": Reader(by_command("audit", "input"), (lines(EVENTS), json.dumps(EVENTS).encode())),
    "lenient log": Reader(by_command("audit", "input", "--lenient", "--json"), (lines(EVENTS),)),
    "foreign log": Reader(by_command("audit", "input", "--mapping", "map.toml", "--cap", "9"), (lines(FOREIGN),)),
    "mapping": Reader(by_command("audit", "foreign.jsonl", "--mapping", "input", "--cap", "9"), (MAPPING,)),
    "history": Reader(by_command("history", "input"), (lines(HISTORY),)),
    "token": Reader(
        token,
        (
            b"cs1:60/0.0.1.1.2.2",
            b"cs1:60/0:23.1c.2t",
            b"ck1:open.0.0.0.1/reserve.0.0.0.1/reserve.0.0.1.1",
            b"ct1:threads.17/open.0.0.0.6/reserve.0.0.7.1/reserve.0.0.8.1",
            async_token(SCHEDULE).encode(),
        ),
    ),
    "saved counterexample": Reader(saved, (json.dumps(SAVED).encode(), json.dumps({**SAVED, "history": 0}).encode())),
    "answer of a harness": Reader(answer, tuple(json.dumps(said).encode() for _, said in ANSWERS)),
}

# ------------------------------------------------------------------------------------------------ the mutations

WICKED = [
    b"-1", b"0", b"1e99999999", b"1e-99999999", b"9" * 5000, b"0." + b"1" * 5000, b"NaN", b"Infinity", b"-0.0", b"1e400",
    b"true", b"null", b'""', b"[]", b"{}", b"[" * 2000, b"[" * 200 + b"]" * 200, b'{"a":' * 900, b'"\\ud800"', b'"\\u0000"',
    b"\x1b[31m", b"\x1b]0;title\x07", b"::error::x", b"\n::error::x\n", b"##[error]x", b"\xff\xfe", b"\xed\xa0\x80", b"\x00",
    b"\r", b"\n", b'"', b"'", b"\\", b"[bold]", b"%s{0}", "\u202e".encode(), b"x" * 100_000, b'"' + b"y" * 70_000 + b'"',
    b"=", b"[[a]]", b"1979-05-27", b"0x10", b"1_000", b"cs1:", b",", b"9223372036854775808",
]  # fmt: skip


def spoilt(content: bytes, draw: random.Random) -> bytes:
    """Return the content with one to three things wrong with it."""
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        content = draw.choice(MUTATIONS)(content, draw)
    return content


def _byte(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + bytes([draw.randrange(256)]) + content[at + draw.randrange(2) :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    first, last = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[last:]


def _again(content: bytes, draw: random.Random) -> bytes:
    first, last = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:last] + content[first:last] * draw.choice((1, 1, 50)) + content[last:]


def _wicked(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.choice(WICKED) + content[at:]


def _word(content: bytes, draw: random.Random) -> bytes:
    """Put something wicked in the place of a word or a number, quoted or not."""
    words = list(_words(content))
    if not words:
        return _wicked(content, draw)
    first, last = draw.choice(words)
    return content[:first] + draw.choice(WICKED) + content[last:]


def _swap(content: bytes, draw: random.Random) -> bytes:
    words = list(_words(content))
    if len(words) < 2:
        return _byte(content, draw)
    (a, b), (c, d) = sorted(draw.sample(words, 2))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _line(content: bytes, draw: random.Random) -> bytes:
    every = content.split(b"\n")
    at = draw.randrange(len(every))
    other = draw.randrange(len(every))
    every[at], every[other] = every[other], every[at]
    if draw.random() < 0.3:
        every.insert(at, every[other])
    return b"\n".join(every)


MUTATIONS = (_byte, _cut, _again, _wicked, _word, _word, _word, _swap, _line)


def _words(content: bytes) -> Iterator[tuple[int, int]]:
    first = None
    for at, sign in enumerate(content + b" "):
        inside = chr(sign).isalnum() or sign in b"-_."
        if inside and first is None:
            first = at
        elif not inside and first is not None:
            quoted = content[first - 1 : first] == b'"' == content[at : at + 1] and first % 2
            yield (first - 1, at + 1) if quoted else (first, at)
            first = None


# ----------------------------------------------------------------------------------------------------- the test


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, source: dict[str, str]) -> Path:
    path = tmp_path_factory.mktemp("readers")
    (path / "race.toml").write_text(source["race"])
    (path / "map.toml").write_bytes(MAPPING)
    (path / "foreign.jsonl").write_bytes(lines(FOREIGN))
    return path


@pytest.fixture(scope="module")
def source() -> dict[str, str]:
    folder = Path(__file__).resolve().parents[1] / "golden" / "scenarios"
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.toml")}


@pytest.mark.parametrize("name", READERS)
def test_an_input_that_is_whole_is_read(name: str, place: Path, capsound: Runs) -> None:
    """Or the mutants would test nothing but the first line of a reader."""
    for whole in READERS[name].whole[:1]:
        status, printed = READERS[name].read(whole, place, capsound)
        assert status in (0, 1, 2), printed


def test_a_name_of_many_megabytes_is_cut(place: Path, capsound: Runs) -> None:
    name = "n" * (8 << 20)
    for reader, content in (
        ("scenario", SCENARIO.replace(b"worker", name.encode())),
        ("workload", WORKLOAD.replace(b"bytes", name.encode())),
        ("log", lines([{**EVENTS[0], "root": name}])),
        ("mapping", MAPPING.replace(b"title", name.encode())),
        ("history", lines([HISTORY[0], {**HISTORY[1], "do": name}])),
        ("token", name.encode()[:100_000]),
        ("saved counterexample", json.dumps({"token": name, "history": [name]}).encode()),
        ("answer of a harness", json.dumps({"seq": 1, "answer": name}).encode()),
    ):
        status, printed = READERS[reader].read(content, place, capsound)
        assert status == 65, reader
        assert fit_to_print(printed), printed[:500]


@pytest.mark.parametrize("name", READERS)
def test_whatever_is_wrong_with_an_input_is_said_on_a_screen(
    name: str, place: Path, capsound: Runs, request: pytest.FixtureRequest
) -> None:
    reader = READERS[name]
    draw = random.Random(f"readers {name}")
    statuses = set()
    for _ in range(DEEP if request.config.getoption("--deep") else EACH):
        content = spoilt(draw.choice(reader.whole), draw)
        status, printed = reader.read(content, place, capsound)
        assert status in (0, 1, 2, 64, 65), (printed, content[:2000])
        assert fit_to_print(printed), (printed[:2000], content[:2000])
        statuses.add(status)
    assert 65 in statuses
    assert statuses & {0, 1, 2}, "no mutant was read to its end"
