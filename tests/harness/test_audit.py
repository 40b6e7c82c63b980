"""`capsound audit` as a command: streams, statuses, a log that is still written, and an interrupt."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import until_it_waits

RACE = [
    {"event": "open", "root": "team", "cap": 60},
    *({"event": "reserve", "account": "team", "hold": f"h{n}", "amount": 31} for n in range(3)),
    *({"event": "settle", "hold": f"h{n}", "amount": 23} for n in range(3)),
]
SOUND = [RACE[0], RACE[1], RACE[4], RACE[2], RACE[5]]


def text(events: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    path.write_text(text(RACE))
    return path


def test_the_status_is_the_verdict(capsound: Callable[..., Any], log: Path) -> None:
    assert capsound("audit", str(log)).status == 1
    log.write_text(text(SOUND))
    assert capsound("audit", str(log)).status == 0
    log.write_text(text([{**RACE[0], "cap": 600}, *SOUND[1:]]))
    assert capsound("audit", str(log)).status == 2
    log.write_text("")
    ran = capsound("audit", str(log))
    assert (ran.status, ran.out) == (65, "")
    assert "the log is empty" in ran.err
    assert str(log) in ran.err


def test_a_missing_log_is_named_with_its_cure(capsound: Callable[..., Any], tmp_path: Path) -> None:
    ran = capsound("audit", str(tmp_path / "lgo.jsonl"))
    assert ran.status == 65
    assert "lgo.jsonl" in ran.err
    assert "- for stdin" in ran.err


def test_json_says_what_the_text_says(capsound: Callable[..., Any], log: Path) -> None:
    data = json.loads(capsound("audit", str(log), "--json").out)
    assert (data["verdict"], data["anomalies"]) == ("violated", {"stale-admit": 2, "overshoot": 1})
    assert [f["line"] for f in data["findings"]] == [3, 4, 7]
    assert "line 7  overshoot" in capsound("audit", str(log)).out


def test_standard_input_is_a_log(process_env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "capsound_checker", "audit", "-"]
    ran = subprocess.run(command, input=text(RACE), env=process_env, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 1
    assert "standard input" in ran.stdout


def test_following_standard_input_is_a_usage_error(capsound: Callable[..., Any]) -> None:
    assert capsound("audit", "-", "--follow").status == 64


def test_a_log_is_followed_until_ctrl_c(process_env: dict[str, str], log: Path) -> None:
    log.write_text(text(RACE[:3]))
    command = [sys.executable, "-u", "-m", "capsound_checker", "audit", str(log), "--follow"]
    with subprocess.Popen(command, env=process_env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert "stale-admit" in running.stdout.readline()
        with log.open("a") as file:
            file.write(text(RACE[3:]))
        assert "line 4  stale-admit" in running.stdout.readline()
        assert "line 7  overshoot" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(900) == 1
    assert "interrupted after" in rest  # at the latest event or one before: a finding is told at once
    assert "in 7 lines" in rest


def test_an_interrupt_prints_what_is_known(process_env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "capsound_checker", "audit", "-"]
    with subprocess.Popen(
        command, env=process_env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        running.stdin.write(text(RACE))
        running.stdin.flush()
        until_it_waits(running)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=900)
    assert running.returncode == 130
    assert "VIOLATED" in out
    assert "Traceback" not in err


def test_a_document_is_read_and_a_foreign_one_names_the_mappings(capsound: Callable[..., Any], log: Path) -> None:
    for document in (json.dumps(RACE), json.dumps(RACE, indent=2)):
        log.write_text(document)
        assert capsound("audit", str(log)).status == 1
    log.write_text(json.dumps([{"usage": 5}], indent=2))
    ran = capsound("audit", str(log))
    assert (ran.status, ran.out) == (65, "")
    assert "--mapping" in ran.err
    assert "otel-genai" in ran.err


def test_both_ends_of_an_unknown_bill_are_told(capsound: Callable[..., Any], log: Path) -> None:
    sent: list[dict[str, Any]] = [{"event": "send", "hold": f"h{n}", "call": f"c{n}"} for n in range(2)]
    lost = [RACE[1], sent[0], {"event": "forfeit", "hold": "h0"}]
    log.write_text(text([RACE[0], *lost, RACE[2], sent[1], {**RACE[5], "amount": 31}]))
    ran = capsound("audit", str(log))
    assert ran.status == 2
    assert "at least 31 and at most 62 billed of a cap of 60 on team: 1 call has no known bill" in ran.out
    (root,) = json.loads(capsound("audit", str(log), "--json").out)["roots"]
    assert (root["billed"], root["billed_at_most"], root["unknown_calls"]) == (31, 62, 1)


@pytest.mark.parametrize(
    "line", ["[" * 200_000, '{"a": ' + "9" * 99_999 + "}", '{"event": "' + "x" * 300_000 + '"}', "\x1b[31m"]
)
def test_a_hostile_line_ends_with_one_screen(capsound: Callable[..., Any], log: Path, line: str) -> None:
    log.write_text(text(SOUND) + line + "\n")
    ran = capsound("audit", str(log))
    assert ran.status == 65
    assert len(ran.err) < 1_000
    assert "\x1b" not in ran.err
    assert f"{log}:6" in ran.err
    assert capsound("audit", str(log), "--lenient").status == 2


def test_a_compressed_log_is_read(capsound: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(text(RACE).encode()))
    assert capsound("audit", str(path)).status == 1


def test_a_reader_that_leaves_early_changes_no_verdict(process_env: dict[str, str], log: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m capsound_checker audit {log} | head -1; exit ${{PIPESTATUS[0]}}"],
        env=process_env,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert (ran.returncode, ran.stderr) == (1, "")


def test_what_another_cap_would_have_refused_is_told(capsound: Callable[..., Any], log: Path) -> None:
    ran = capsound("audit", str(log), "--what-if", "60,93", "--what-if", "30", "--json")
    told = json.loads(ran.out)["spent"]["what_if"]
    assert [(one["cap"], one["refused"], one["billed"]) for one in told] == [(60, 2, 23), (93, 0, 69), (30, 3, 0)]
    assert capsound("audit", str(log), "--what-if", "1,000").status == 64
    assert capsound("audit", str(log), "--what-if", "$5").status == 64


def test_spending_is_plotted(capsound: Callable[..., Any], log: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert capsound("audit", str(log), "--plot", str(tmp_path / "spend.svg")).status == 1
    assert (tmp_path / "spend.svg").read_text().startswith("<?xml")
    ran = capsound("audit", str(log), "--plot", str(tmp_path / "spend.pdf"))
    assert (ran.status, "end it in .png or .svg" in ran.err) == (64, True)


def lines_in(state: Path) -> int:
    """Return how many lines a state tells of."""
    try:
        return int(json.loads(state.read_bytes().partition(b"\n")[0])["lines"])
    except (OSError, ValueError, KeyError):
        return 0


def test_a_followed_log_is_gone_on_with_by_the_next_audit(
    capsound: Callable[..., Any], process_env: dict[str, str], log: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    parts = log.read_text().splitlines(keepends=True)
    log.write_text("".join(parts[:3]))
    command = [sys.executable, "-m", "capsound_checker", "audit", str(log), "--follow", "--state", str(state), "--json"]
    for read, more, how in ((3, 2, signal.SIGKILL), (5, 2, signal.SIGINT), (7, 0, signal.SIGINT)):
        with subprocess.Popen(command, env=process_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while lines_in(state) < read:
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(how)
            out, _ = process.communicate(timeout=900)
        with log.open("a") as file:
            file.write("".join(parts[read : read + more]))
    told = json.loads(out)
    assert (process.returncode, told["lines"], told["roots"][0]["billed"]) == (1, 7, 69)
    assert f"read on from line 6, as {state} says" in told["notes"]
    ran = capsound("audit", str(log), "--follow", "--state", str(state), "--json", "--cap", "9")
    assert (ran.status, "--cap: null then" in ran.out + ran.err) == (64, True)
    assert capsound("audit", str(log), "--state", str(state)).status == 64


def test_only_a_file_of_lines_is_followed(capsound: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("a.csv", "b.jsonl.gz", "c.jsonl"):
        (tmp_path / name).write_text("")
    for names in (["a.csv"], ["b.jsonl.gz"], ["b.jsonl.gz", "c.jsonl"]):
        assert capsound("audit", *[str(tmp_path / name) for name in names], "--follow").status == 64
