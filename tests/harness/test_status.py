"""The exit status of every kind of end (0, 1, 2, 64, 65, 70), and what is printed beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import capsound_proofs.search
import capsound_proofs.solve
from capsound.monitor import fold

Runs = Callable[..., Any]

USAGE = {
    "no command": "",
    "unknown command": "slove race.toml",
    "unknown option": "solve race.toml --setps 3",
    "no path": "solve",
    "steps of zero": "solve race.toml --steps 0",
    "steps in words": "solve race.toml --steps many",
    "seconds of zero": "solve race.toml --seconds 0",
    "too many workers": "solve race.toml --workers 65",
    "option without value": "solve race.toml --itf",
    "replay without token": "replay race.toml",
    "replay with too much": "replay race.toml cs1:60/0 cs1:60/0",
    "schema of nothing": "schema",
    "schema of something else": "schema log",
    "new without what": "new",
    "explain two names": "explain overshoot hang",
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_is_64(case: str, capsound: Runs, shared: Path) -> None:
    ran = capsound(*USAGE[case].split(), cwd=shared)
    assert ran.status == 64
    assert ran.out == ""
    assert ran.err.startswith(("Usage: capsound", "Error: "))
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "status", "verdict"),
    [("sound.toml", 0, "sound"), ("race.toml", 1, "violated"), ("race.toml --steps 3", 2, "unknown")],
)
def test_verdicts(arguments: str, status: int, verdict: str, capsound_once: Runs, shared: Path) -> None:
    ran = capsound_once("solve", *arguments.split(), cwd=shared)
    assert ran.status == status
    assert ran.out.splitlines()[-1].startswith(f"{verdict} in ")
    assert ran.err == ""


def test_a_real_process_ends_with_the_same_statuses(capsound_process: Runs, shared: Path) -> None:
    assert capsound_process("solve", "sound.toml", cwd=shared).status == 0
    assert capsound_process("solve", "race.toml", "--steps", "3", cwd=shared).status == 2
    assert capsound_process("solve", "bad.toml", cwd=shared).status == 65
    assert capsound_process("solve", cwd=shared).status == 64


@pytest.mark.parametrize("path", ["bad.toml", "nowhere.toml", "nowhere/", "scenario.json"])
@pytest.mark.parametrize("command", ["solve {}", "replay {} cs1:60/0"])
def test_bad_input_is_65(path: str, command: str, capsound: Runs, shared: Path) -> None:
    ran = capsound(*command.format(path).split(), cwd=shared)
    assert ran.status == 65
    assert ran.out == ""
    assert ran.err.startswith(path.rstrip("/"))
    assert "Usage" not in ran.err


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(capsound_proofs.solve, "solve", fails)


@pytest.mark.usefixtures("broken")
def test_our_bug_is_70(capsound: Runs, shared: Path) -> None:
    ran = capsound("solve", "race.toml", cwd=shared)
    assert ran.status == 70
    assert ran.out == ""
    assert "ZeroDivisionError: a bug of ours" in ran.err
    assert "CAPSOUND_DEBUG=1" in ran.err
    assert "Traceback" not in ran.err


def test_debug_shows_the_traceback_and_ends_with_70(process_env: dict[str, str], shared: Path) -> None:
    """Python's own status after a traceback is 1, which here would mean "violated"."""
    program = (
        "import capsound_proofs.solve as s, capsound_checker.__main__ as m\n"
        "s.solve = lambda *a, **k: 1 / 0\n"
        "m.main(['solve', 'race.toml'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=shared,
        env={**process_env, "CAPSOUND_DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert done.returncode == 70


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the monitor of ``solve`` see nothing at all."""
    monkeypatch.setattr(capsound_proofs.search, "judge", lambda *_: fold(()))


@pytest.mark.usefixtures("blind")
def test_a_counterexample_that_the_monitor_denies_is_70_and_not_shown(capsound: Runs, shared: Path) -> None:
    ran = capsound("solve", "race.toml", cwd=shared)
    assert ran.status == 70
    assert ran.out == ""
    assert "the solver found a run that breaks 'cap', and the monitor does not" in ran.err
    assert "[disagreement]" in ran.err
    assert "overshoot" not in ran.err


@pytest.mark.usefixtures("blind")
def test_a_disagreement_about_one_file_does_not_stop_the_others(capsound: Runs, shared: Path) -> None:
    ran = capsound("solve", "race.toml", "sound.toml", "--workers", 1, "--json", cwd=shared)
    assert ran.status == 70
    first, second = json.loads(ran.out)
    assert first["error"]["name"] == "disagreement"
    assert "properties" not in first
    assert second["verdict"] == "sound"


@pytest.mark.usefixtures("broken")
def test_our_bug_in_one_file_does_not_stop_the_others(capsound: Runs, shared: Path) -> None:
    """With one worker as with many: which file fails must not depend on the number of cores."""
    ran = capsound("solve", "race.toml", "bad.toml", "--workers", 1, cwd=shared)
    assert ran.status == 70
    assert "bad.toml:3:7" in ran.err
    assert "race.toml" in ran.err
