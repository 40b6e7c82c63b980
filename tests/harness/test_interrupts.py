"""Ctrl-C in commands that wait for something: what is known by then is printed, and the status is 130.

``solve``, ``audit``, ``check`` and ``prove`` have theirs beside their other tests.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import until

from capsound_checker.check import replaying, smoke
from capsound_checker.costs import ratio
from capsound_checker.histories import history, linearize

Runs = Callable[..., Any]

SUPPORT = Path(__file__).parents[1] / "support"
REFERENCE = f"{SUPPORT / 'reference_adapter.py'}:ReferenceAdapter"


def later(function: Any, calls: int) -> Any:
    """Return a function that is interrupted when it is called for the last time of so many."""
    left = [calls]

    def interrupted(*args: Any, **named: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return function(*args, **named)

    return interrupted


def test_ratio_tells_of_the_strategies_that_were_measured(capsound: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratio, "replay", later(ratio.replay, 3))
    ran = capsound("ratio", "gen:dense", "--sessions", "5", "--json")
    told = json.loads(ran.out)
    assert (ran.status, len(told["strategies"])) == (130, 2)
    known = {each["name"] for each in told["strategies"]}
    assert told["unmeasured"]
    assert not known & set(told["unmeasured"])


def test_ratio_says_so_in_words(capsound: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratio, "replay", later(ratio.replay, 2))
    ran = capsound("ratio", "gen:dense", "--sessions", "5")
    assert ran.status == 130
    assert "interrupted: not measured are " in ran.out


RACE = [
    {"history": 1, "seed": 0},
    {"client": 0, "called": 0, "returned": 1, "do": "open", "on": 0, "amount": 5, "outcome": "done"},
    {"client": 0, "called": 2, "returned": 9, "do": "reserve", "on": 0, "new": 0, "amount": 4, "outcome": "done"},
    {"client": 1, "called": 3, "returned": 8, "do": "reserve", "on": 0, "new": 1, "amount": 4, "outcome": "done"},
]


@pytest.fixture
def race(tmp_path: Path) -> Path:
    path = tmp_path / "race.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in RACE))
    return path


def test_history_before_anything_is_known(capsound: Runs, race: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "linearize", later(history.linearize, 1))
    ran = capsound("history", race, "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["verdict"], told["interrupted"], told["operations"]) == (130, "unknown", True, 3)


@pytest.mark.parametrize(("where", "name", "calls"), [(linearize, "shortest", 1), (history, "linearize", 2)])
def test_history_tells_the_offence_that_is_known(
    where: Any, name: str, calls: int, capsound: Runs, race: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, later(getattr(where, name), calls))
    ran = capsound("history", race)
    assert ran.status == 130
    assert ran.out.splitlines()[-2:] == ["interrupted", "violated: 3 operations of 2 clients"]


def test_smoke_tells_of_the_first_scenario(capsound: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "replay", later(smoke.replay, 2))
    ran = capsound("smoke", REFERENCE)
    assert ran.status == 130
    assert "a call that always fits   is admitted and recorded" in ran.out
    assert "a call that never fits    was not tried to its end" in ran.out
    monkeypatch.setattr(smoke, "replay", later(smoke.replay, 1))
    told = json.loads(capsound("smoke", REFERENCE, "--json").out)
    assert (told["fits"], told["refuses"], told["interrupted"], told["trouble"]) == (None, None, True, [])


def test_replay_says_that_the_run_did_not_end(capsound: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "run_child", later(replaying.run_child, 1))
    ran = capsound("replay", REFERENCE, "ck1:open.0.0.0.1")
    assert (ran.status, ran.out) == (130, "interrupted before it came to its end\nunknown\n")


def test_the_signal_itself_ends_a_replay_with_all_that_it_started(tmp_path: Path, process_env: dict[str, str]) -> None:
    mark = tmp_path / "running"
    path = tmp_path / "mine.py"
    path.write_text(
        f"import sys, time\nsys.path.insert(0, {str(SUPPORT)!r})\nfrom pathlib import Path\n"
        "from reference_adapter import *\nclass X(ReferenceAdapter):\n    def open(self, cap):\n"
        f"        Path({str(mark)!r}).touch()\n        time.sleep(600)\n"
    )
    command = [sys.executable, "-m", "capsound_checker", "replay", f"{path}:X", "ck1:open.0.0.0.1"]
    process = subprocess.Popen(command, env=process_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(mark.exists)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (130, b"")
    assert out.splitlines()[-1] == b"unknown"


# ------------------------------------------------------------------------------------------------- loading


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """An adapter that takes a while to load."""
    path = tmp_path / "slow.py"
    path.write_text(
        f"import sys, time\nsys.path.insert(0, {str(SUPPORT)!r})\ntime.sleep(600)\n"
        "from reference_adapter import ReferenceAdapter\n"
    )
    return f"{path}:ReferenceAdapter"


@pytest.mark.parametrize("command", ["check", "smoke", "replay"])
def test_loading_has_a_limit_of_its_own(command: str, slow: str, capsound_process: Runs) -> None:
    token = ["ck1:open.0.0.0.1"] if command == "replay" else []
    ran = capsound_process(command, slow, *token, "--load-timeout", "1s")
    assert "was not loaded within 1 s" in ran.out + ran.err
    assert ran.status == (2 if command == "replay" else 65)


def test_a_command_that_does_not_start_has_the_same_limit(capsound_process: Runs) -> None:
    ran = capsound_process("smoke", "cmd:sleep 100", "--load-timeout", "1s")
    assert ran.status == 65
    assert "did not answer within 1 s" in ran.err
    assert "--load-timeout" in ran.err
