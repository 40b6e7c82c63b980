"""An audit that follows a log is killed at random moments, while the log grows and is rotated: nothing is lost, nothing twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import load_mapping

PROGRAM = Path(__file__).parents[1] / "support" / "follow_and_die.py"
FEW, MANY = 6, 50


def native(rnd: random.Random, number: int) -> str:
    call = [
        {"event": "reserve", "account": "root", "hold": f"h{number}", "amount": 40, "agent": f"a{number % 5}"},
        {"event": "send", "hold": f"h{number}", "call": f"c{number}"},
        {"event": "bill", "call": f"c{number}", "amount": rnd.randrange(50), "at": 1767225600 + 60 * number},
        {"event": "settle", "hold": f"h{number}", "amount": 10},
    ]
    return "".join(json.dumps(event) + "\n" for event in call)


def span(rnd: random.Random, number: int) -> str:
    """Return a span of a request: it waits for its turn, and some are told twice."""
    at = 1_767_225_600_000_000_000 + number * 30_000_000_000
    one = {
        "traceId": f"t{number // 3}",
        "spanId": f"s{number}",
        "startTimeUnixNano": str(at),
        "endTimeUnixNano": str(at + rnd.randrange(10**11)),
        "attributes": {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": f"m{number % 3}",
            "gen_ai.usage.input_tokens": rnd.randrange(1, 500),
            "gen_ai.usage.output_tokens": rnd.randrange(1, 500),
        },
    }
    return (json.dumps(one) + "\n") * rnd.choice([1, 1, 2])


def grow(log: Path, text: str, rnd: random.Random, turn: int) -> None:
    """Write to the log, half a line at its end perhaps; now and then it is rotated in between."""
    how = rnd.choice(["", "", "rename", "copy"])
    middle = rnd.choice([at for at, sign in enumerate(text) if sign == "\n"]) + 1
    with log.open("a") as file:
        file.write(text[:middle] if how else text)
    if how:
        other = log.with_name(f"{log.name}.{turn}")
        if how == "rename":
            log.rename(other)
        else:
            other.write_bytes(log.read_bytes())
        os.utime(other, ns=(turn * 10**9, turn * 10**9))
        log.write_text(text[middle:])


def killed(
    kills: int, line: Callable[[random.Random, int], str], mapping: str, folder: Path, env: dict[str, str]
) -> int:
    """Kill that often, and compare what is said at the end with what is said of the whole log. Return how many lines."""
    rnd = random.Random(kills)
    log, state = folder / "log.jsonl", folder / "state"
    log.write_text('{"event": "open", "root": "root", "cap": 100}\n' if not mapping else "")
    first = log.read_text()
    text, died, turn, number, most = first, 0, 0, 0, 20_000

    def run(moment: int) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            str(PROGRAM),
            str(log),
            str(state),
            str(moment),
            "5",
            *([mapping] if mapping else []),
        ]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=900)

    carried = "".join(line(rnd, 10**6 + n) for n in range(3))
    log.write_text(first + carried)
    text += carried
    assert run(0).returncode == 0  # from now on a state says where the log was begun
    carried = ""
    while died < kills:
        turn += 1
        more = carried + "".join(line(rnd, number + n) for n in range(8))
        number += 8
        cut = rnd.randrange(max(1, len(more) - 60), len(more) + 1)
        carried, more = more[cut:], more[:cut]
        text += more
        grow(log, more, rnd, turn)
        ran = run(rnd.randrange(1, most))
        if ran.returncode == -signal.SIGKILL:
            died += 1
        else:
            assert ran.returncode == 0, ran.stderr
            most = max(2000, int(ran.stdout.split()[0]))  # it lived: the next moment is one that it lives to see
    with log.open("a") as file:
        file.write(carried)
    text += carried
    ran = run(0)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = audit(
        text.splitlines(keepends=True),
        name="log",
        mapping=load_mapping(mapping) if mapping else None,
        cap=10**9 if mapping else None,
    ).data()
    del told["notes"]
    got = json.loads(ran.stdout.splitlines()[1])
    assert {**got, "doubts": 0, "warnings": 0} == {**json.loads(json.dumps(told)), "doubts": 0, "warnings": 0}
    assert got["warnings"] == json.loads(json.dumps(told))["warnings"]
    assert got == json.loads(json.dumps(told))
    return int(told["lines"])


KINDS = [pytest.param(native, "", id="native"), pytest.param(span, "otel-genai", id="spans")]


@pytest.mark.parametrize(("line", "mapping"), KINDS)
def test_killed_at_some_moments(
    line: Callable[[random.Random, int], str], mapping: str, tmp_path: Path, process_env: dict[str, str]
) -> None:
    assert killed(FEW, line, mapping, tmp_path, process_env) > 50


@pytest.mark.deep
@pytest.mark.parametrize(("line", "mapping"), KINDS)
def test_killed_at_fifty_moments(
    line: Callable[[random.Random, int], str], mapping: str, tmp_path: Path, process_env: dict[str, str]
) -> None:
    assert killed(MANY, line, mapping, tmp_path, process_env) > 500
