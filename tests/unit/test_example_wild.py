"""The list of applications in the wild: it is whole, and what is not as expected is said. They run in ``make wild``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from capsound.guarantees import LADDER
from capsound_checker.programs.modules import run_file
from capsound_checker.wire.causes import ALL
from capsound_checker.wire.money import parse_cap

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "wild"


check_all = run_file(FOLDER / "check_all.py", "example_wild")
TARGETS: dict[str, Any] = check_all.load_targets()


def seen(target: Any, **changes: Any) -> dict[str, Any]:
    billed = parse_cap(target.racy["billed"]).amount
    found = {"refutes": target.racy["refutes"], "cause": target.racy["cause"], "billed": billed, **changes}
    return {"verdict": "violated", "found": [found], "runs": 3, "billed_at_most": billed}


SOUND = {"verdict": "sound", "found": [], "runs": 20, "billed_at_most": 0}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_target_is_whole(target: Any) -> None:
    assert target.pins
    assert all(pin.count("==") == 1 or pin.rpartition("@")[2][0].isdigit() for pin in target.pins), "pinned"
    assert target.racy["cause"] in {cause.name for cause in ALL}
    assert target.racy["refutes"] in {rung.guarantee.label for rung in LADDER}
    cap = parse_cap(target.options[target.options.index("--cap") + 1])
    assert parse_cap(target.racy["billed"]).amount > cap.amount
    words = check_all.arguments(target, Path("home"), "cured")
    assert not [word for word in words if "{" in word.replace("{run}", "")]
    files = [
        Path(word.partition("home/")[2] or word) for word in words if word.endswith((".py", ".mjs", ".json", "yaml"))
    ]
    assert all((FOLDER / file).is_file() for file in files)


def test_ten_real_targets_at_least_and_every_file_is_used() -> None:
    assert len(TARGETS) >= 10
    used = json.dumps([[*t.command, *t.cured_command, *t.options, *t.environment.values()] for t in TARGETS.values()])
    for file in (*FOLDER.glob("*.py"), *FOLDER.glob("*.mjs"), *FOLDER.glob("*.json")):
        assert file.name in used or file.stem in ("check_all", "holding")


def test_what_is_not_as_expected_is_said() -> None:
    target = TARGETS["plain-openai"]
    assert target.differs("racy", seen(target)) == []
    assert target.differs("racy", seen(target, cause="unexplained")) == [
        "racy: cause is unexplained, not check-then-act"
    ]
    assert target.differs("racy", seen(target, billed=10**10)) == ["racy: billed is $0.01, not $0.1200375"]
    assert target.differs("racy", SOUND) == ["racy: sound, and nothing was refuted"]
    assert target.differs("cured", SOUND) == []
    assert target.differs("cured", {**SOUND, "verdict": "unknown"}) == ["cured: unknown, not sound"]


def test_the_status_says_whether_all_is_as_expected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    twins: dict[str, Any] = dict.fromkeys(TARGETS, SOUND)

    def run(target: Any, home: Path, way: str, *, as_json: bool = True) -> subprocess.CompletedProcess[str]:
        data = seen(target) if way == "racy" else twins[target.name]
        return subprocess.CompletedProcess([], 0, json.dumps(data) if as_json else "", "")

    monkeypatch.setattr(check_all, "environment", lambda folder, target: folder)
    monkeypatch.setattr(check_all, "run", run)
    assert check_all.main([str(tmp_path)]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 * len(TARGETS)
    assert all(row.endswith(" yes") for row in rows)
    twins["vercel-ai"] = {**SOUND, "verdict": "violated"}
    assert check_all.main([str(tmp_path)]) == 1
    assert "cured: violated, not sound" in capsys.readouterr().out
    assert check_all.main([str(tmp_path), "--only", "vercel-ai", "--racy"]) == 0


def test_a_package_that_cannot_be_installed_ends_with_65_and_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, int("pip" in command), "", "ERROR: No matching distribution\n")

    monkeypatch.setattr(check_all.subprocess, "run", run)
    assert check_all.main([str(tmp_path), "--only", "plain-openai"]) == 65
    name, cause, hint = capsys.readouterr().err.splitlines()
    assert name == "cannot-install: openai==3.57.0 could not be installed"
    assert cause == "ERROR: No matching distribution"
    assert "pip and npm" in hint


def test_an_unknown_target_ends_with_65_and_the_nearest_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert check_all.main([str(tmp_path), "--only", "vercel"]) == 65
    assert "vercel-ai" in capsys.readouterr().err
