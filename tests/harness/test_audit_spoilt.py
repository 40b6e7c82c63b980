"""Logs of every mapping that ships, spoilt in 200 ways each: an error with its line, or a doubt, and never a bug."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from capsound.errors import CapsoundError
from capsound.verdict import Verdict
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import load_mapping, shipped
from capsound_checker.audit.money import in_money
from capsound_checker.audit.rules import LogMapping
from capsound_checker.display.schemas import schema_of

SUPPORT = Path(__file__).parents[1] / "support"

SAMPLES = {
    "otel-genai": ("spans/recorded.genai.anthropic-plain.jsonl", 150),
    "claude-code": ("logs/claude-code/tool/main.jsonl", 12_412),
    "claude-code-otel": ("logs/claude-code-otel/agent.jsonl", 68_365),
    "litellm": ("logs/litellm/rows.jsonl", 3_133_200_000),
    "langfuse": ("logs/langfuse/with-an-error.jsonl", 2_200),
    "openai-usage": ("logs/openai/usage-export.json", 3_797_000),
    "openai-costs": ("logs/openai/costs.json", 1_260_000_000_000),
    "calls": ("logs/calls/calls.jsonl", 1_570),
}
"""Of each mapping a log, and what its largest account was billed at least."""

SCHEMA = jsonschema.Draft202012Validator(schema_of("audit"))

JUNK: list[Any] = [
    None, True, -1, 10**30, "x", "", "unbounded", "\ud800", [], [[]], {}, {"a": 1}, [1, 2], "1e999", 1.5, "[", "{", "NaN",
]  # fmt: skip
"""What may stand in place of a value. None of these is a smaller number of the same kind: nobody could notice that."""


def read(name: str) -> list[Any]:
    text = (SUPPORT / SAMPLES[name][0]).read_text()
    try:
        data = json.loads(text)
        return data if isinstance(data, list) else [data]
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in a document: what contains it, and under which key or number."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def spoilt(name: str, rnd: random.Random) -> str:
    """Return a log in which one value is something else, or one value of a record is missing."""
    lines = read(name)
    container, key = rnd.choice([place for line in lines for place in places(line)])
    gone = isinstance(container, dict) and not isinstance(container[key], dict | list)
    if gone and rnd.random() < 0.4:
        del container[key]
    else:
        container[key] = rnd.choice(JUNK)
    return "".join(json.dumps(line) + "\n" for line in lines)


def torn(name: str, rnd: random.Random) -> str:
    """Return a log in which some bytes are others, are missing, or are there twice."""
    text = (SUPPORT / SAMPLES[name][0]).read_bytes()
    for _ in range(rnd.randrange(1, 4)):
        at, length = rnd.randrange(len(text)), rnd.choice([1, 1, 3, 50, 2000])
        middle = rnd.choice([b"", rnd.randbytes(length), text[at : at + length] * 2, b"\n", b"[" * length, b"\x00"])
        text = text[:at] + middle + text[at + length :]
    return text.decode("utf-8", "surrogateescape")


@cache
def mapping(name: str) -> LogMapping:
    return in_money(load_mapping(name), [], table=False)


def outcome(name: str, text: str, cap: int, lenient: bool) -> Verdict | None:
    """Return the verdict, or None for an error of status 65 with a message."""
    lines = text.splitlines(keepends=True)
    a10 = frozenset({"A10"})
    try:
        told = audit(
            lines, mapping=mapping(name), cap=cap, lenient=lenient, assume=a10, what_if=(cap // 2,), drawn=True
        )
        SCHEMA.validate(json.loads(json.dumps(told.data())))
        return told.verdict
    except CapsoundError as error:
        return None if error.exit_status == 65 and error.message else Verdict.SOUND


def test_every_mapping_has_a_sample() -> None:
    assert sorted(SAMPLES) == shipped()


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_one_value_that_is_something_else_never_makes_a_log_sound(name: str) -> None:
    """The cap is one below the bill: what is not noticed would be a false `sound`."""
    cap = SAMPLES[name][1] - 1
    for seed in range(100):
        text = spoilt(name, random.Random(seed))
        assert outcome(name, text, cap, seed % 2 == 0) is not Verdict.SOUND, (seed, text[:3000])


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_torn_files_are_no_bug(name: str) -> None:
    for seed in range(100):
        outcome(name, torn(name, random.Random(seed)), SAMPLES[name][1], seed % 2 == 0)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_command_says_it_with_its_status(capsound: Callable[..., Any], tmp_path: Path, name: str) -> None:
    path = tmp_path / "spoilt.jsonl"
    for seed in range(6):
        path.write_bytes(
            (torn if seed % 2 else spoilt)(name, random.Random(1000 + seed)).encode("utf-8", "surrogateescape")
        )
        ran = capsound(
            "audit", str(path), "--mapping", name, "--cap", "1usd" if mapping(name).unit == "pico-USD" else "9"
        )
        assert ran.status in (0, 1, 2, 65), ran.err
        assert ran.status != 65 or "spoilt.jsonl" in ran.err


NAMES = re.compile(
    r'("(?:traceId|spanId|parentSpanId|id|request_id|llm_call|sessionId|requestId|uuid|parentUuid)": ")'
    r'|("key": "(?:session\.id|gen_ai\.response\.id)", "value": \{"stringValue": ")|("start_time": )'
)


def many(name: str, path: Path, count: int) -> None:
    """Write a log again and again, each time with other names, until it has at least ``count`` records."""
    lines = read(name)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    records = sum(1 for line in lines for _ in mapping(name).prepared(line))
    with path.open("w") as file:
        for number in range(count // records + 1):
            file.write(NAMES.sub(lambda found, number=number: f"{found[0]}{number + 1}", text))  # type: ignore[misc]


RUN = """
import sys
from pathlib import Path
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import load_mapping
from capsound_checker.audit.money import in_money
with open(sys.argv[1]) as lines:
    told = audit(lines, mapping=in_money(load_mapping(sys.argv[2]), [], table=False), cap=10**18)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(told.roots[0].billed, status["VmHWM"].split()[0])  # `ru_maxrss` would count the process that has started this one
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc to look at")
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_ten_thousand_records_take_little_memory(name: str, tmp_path: Path, process_env: dict[str, str]) -> None:
    many(name, tmp_path / "log.jsonl", 10_000)
    command = [sys.executable, "-c", RUN, str(tmp_path / "log.jsonl"), name]
    ran = subprocess.run(command, env=process_env, capture_output=True, text=True, timeout=900, check=True)
    billed, kilobytes = map(int, ran.stdout.split())
    assert billed > 200 * SAMPLES[name][1]
    assert kilobytes < 100 << 10
