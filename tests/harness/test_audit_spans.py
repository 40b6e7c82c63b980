"""Every file of spans that a library wrote, against the bill that the provider counted: right, or doubted, or refused."""

from __future__ import annotations

import csv
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from capsound.verdict import Verdict
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.mapping import load_mapping

SPANS = Path(__file__).parents[1] / "support" / "spans"
with (SPANS / "recorded.tsv").open(newline="") as table:
    BILLS = {row["file"]: int(row["bill"]) for row in csv.DictReader(table, delimiter="\t")}
"""Of each file, what its requests were billed: the server that answered them kept its own books."""

COUNTS = {"right": 90, "right, and doubted": 22, "doubted": 69, "refused": 3}
"""How many files are judged how (docs/measurements.md)."""

A10 = frozenset({"A10"})
KNOWN = 100_000
BESIDE = json.dumps(
    {
        "traceId": "known",
        "spanId": "known",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000000000000001",
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": str(KNOWN - 1)}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "1"}},
        ],
    }
)
"""A call beside those of a file, which brings the cap into play."""

ROOM = 10_000

SCALE = {"cap never came into play", "nothing was spent", "no call was admitted"}
"""What is said of a log in which too little happened: it names no reason why a bill is not known."""


@cache
def recorded() -> dict[str, list[str]]:
    with tarfile.open(SPANS / "recorded.tar.xz") as archive:
        read = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        return {name: file.read().decode().splitlines(keepends=True) for name, file in read.items() if file is not None}


def judged(name: str, cap: int, assume: frozenset[str] = frozenset()) -> Audit:
    lines = [BESIDE + "\n", *recorded()[name]]
    return audit(lines, mapping=load_mapping("otel-genai"), cap=KNOWN + cap, assume=assume)


def kind(name: str) -> str:
    """Return how a file is judged; fail where it is silently wrong."""
    bill = BILLS[name]
    if not any(line.strip() for line in recorded()[name]):
        return "refused"
    try:
        audit(recorded()[name], mapping=load_mapping("otel-genai"), cap=bill)
    except BadLog:
        return "refused"
    full = bill or ROOM  # where nothing was billed, a call at the cap is one that should not have been admitted
    told = judged(name, full)
    billed = told.roots[0].billed - KNOWN
    for cap in {max(0, bill - 1), (billed + bill) // 2, billed}:
        if cap < bill:
            assert judged(name, cap).verdict is not Verdict.SOUND, cap
    assert billed <= bill, "more than was billed"
    assert told.verdict is not Verdict.VIOLATED
    if billed != bill:
        assert [doubt for doubt in told.doubts if not any(said in doubt for said in SCALE)]
        return "doubted"
    return "right" if judged(name, full, A10).verdict is Verdict.SOUND else "right, and doubted"


def test_every_file_is_listed_with_its_bill() -> None:
    assert set(recorded()) == set(BILLS)


@pytest.mark.parametrize("name", sorted(BILLS))
def test_no_file_is_silently_wrong(name: str) -> None:
    kind(name)


def test_which_files_rest_on_the_assumption_that_nothing_was_sent_again() -> None:
    """Each of these is one span of three requests, and nothing in it says so."""
    resting = set()
    for name, bill in BILLS.items():
        if bill and kind(name) == "doubted":
            low = judged(name, bill, A10).roots[0].billed - KNOWN
            if any(judged(name, cap, A10).verdict is Verdict.SOUND for cap in (low, (low + bill) // 2, bill - 1)):
                resting.add(name.removesuffix(".jsonl"))
    assert resting == {
        "genai.chat-retry-timeout",
        "openai-v2.chat-retry-timeout",
        "traceloop-2025.anthropic-retry-timeout",
        "traceloop-2025.chat-retry-timeout",
        "vercel-ai-7.retry-500",
    }


def test_how_many_are_sound_at_their_bill_without_an_assumption() -> None:
    sound = [n for n in BILLS if kind(n) == "right" and judged(n, BILLS[n] or ROOM).verdict is Verdict.SOUND]
    assert len(sound) == 12


def test_how_many_are_right() -> None:
    assert dict(Counter(map(kind, BILLS))) == {name: count for name, count in COUNTS.items() if count}


@pytest.mark.parametrize(
    ("name", "assume", "status"),
    [
        ("pydantic-ai.pai-delegation.jsonl", ["--assume", "A10"], 0),
        ("pydantic-ai.pai-delegation.jsonl", [], 2),
        ("openai-v2.chat-retry-timeout.jsonl", [], 2),
        ("autogen-native.plain.jsonl", [], 65),
    ],
)
def test_the_command_says_the_same(
    capsound: Callable[..., Any], tmp_path: Path, name: str, assume: list[str], status: int
) -> None:
    path = tmp_path / name
    path.write_text("".join(recorded()[name]))
    ran = capsound("audit", str(path), "--mapping", "otel-genai", "--cap", str(BILLS[name]), *assume)
    assert ran.status == status, ran.out + ran.err
