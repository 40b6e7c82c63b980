"""Files that capsound writes beside its report: tried out before the work, all or nothing, and never instead of it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import capsound_checker.display.files
import capsound_checker.solve.running

Runs = Callable[..., Any]

GUARD = """
from capsound.adapter import Adapter, Gate

class Counter(Adapter):
    gate = Gate.CHECK

    def open(self, cap):
        return {"cap": cap, "spent": 0}

    def check(self, budget, amount):
        return budget["spent"] + amount <= budget["cap"]

    def record(self, budget, amount):
        budget["spent"] += amount
"""

COMMANDS = {
    "solve --itf": "solve {shared}/race.toml --workers 1 --itf {out}",
    "replay --itf": "replay {shared}/race.toml cs1:60/0.0.1.1.2.2 --itf {out}",
    "ratio --plot": "ratio gen:chat --sessions 3 --resamples 0 --plot {out}.svg",
    "check --junit": "check counter.py:Counter --driver programs --programs 20 --budget 20s --junit {out}",
    "check --itf": "check counter.py:Counter --driver programs --programs 20 --budget 20s --itf {out}",
    "check --save": "check counter.py:Counter --driver programs --programs 20 --budget 20s --save {folder}",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "counter.py").write_text(GUARD)
    return tmp_path


def arguments(name: str, place: Path, shared: Path) -> list[str]:
    return COMMANDS[name].format(shared=shared, out=place / "out", folder=place / "folder").split()


class Disk:
    """A disk that is full after so many files."""

    def __init__(self, files: int) -> None:
        self.left = files

    def __call__(self, _: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(0)
    monkeypatch.setattr(capsound_checker.display.files.os, "fsync", made)
    return made


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_shows_before_the_work(
    name: str, place: Path, shared: Path, capsound: Runs, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    import capsound_checker.check.checking
    import capsound_checker.costs.ratio

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("it worked before it tried the disk out")

    monkeypatch.setattr(capsound_checker.solve.running, "solve_all", worked)
    monkeypatch.setattr(capsound_checker.check.checking, "check", worked)
    monkeypatch.setattr(capsound_checker.costs.ratio, "run_lab", worked)
    ran = capsound(*arguments(name, place, shared), cwd=place)
    assert ran.status == 64
    assert "No space left on device" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_fills_up_takes_no_report_away(
    name: str, place: Path, shared: Path, capsound: Runs, disk: Disk
) -> None:
    disk.left = 1
    before = {path.name for path in place.rglob("*")}
    ran = capsound(*arguments(name, place, shared), cwd=place)
    assert ran.status == 64
    assert "No space left on device" in ran.err
    assert len(ran.out.splitlines()) > 3
    left = {path.name for path in place.rglob("*")} - before - {"folder", "__pycache__"}
    assert not {name for name in left if not name.endswith(".pyc")}, "a file that is not whole was left"


def test_what_was_there_stays_when_the_disk_is_full(place: Path, shared: Path, capsound: Runs, disk: Disk) -> None:
    (place / "out").write_text("precious")
    disk.left = 1
    assert capsound(*arguments("replay --itf", place, shared), cwd=place).status == 64
    assert (place / "out").read_text() == "precious"


def test_a_link_stays_and_its_file_is_replaced_with_its_mode(place: Path, shared: Path, capsound: Runs) -> None:
    (place / "real").write_text("old")
    (place / "real").chmod(0o640)
    (place / "out").symlink_to("real")
    capsound(*arguments("replay --itf", place, shared), cwd=place)
    assert (place / "out").is_symlink()
    assert json.loads((place / "real").read_text())["#meta"]["format"] == "ITF"
    assert (place / "real").stat().st_mode & 0o777 == 0o640


def test_json_on_a_disk_that_fills_up_is_one_document(place: Path, shared: Path, capsound: Runs, disk: Disk) -> None:
    disk.left = 1
    ran = capsound(*arguments("replay --itf", place, shared), "--json", cwd=place)
    assert json.loads(ran.out)["verdict"] == "violated"


def run_in_shell(command: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    program = f'"{sys.executable}" -m capsound_checker {command}'
    return subprocess.run(
        ["sh", "-c", program], env=env, cwd=cwd, capture_output=True, text=True, timeout=900, check=False
    )


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("solve race.toml --workers 1", 1),
        ("replay race.toml cs1:60/0.0.1.1.2.2 --json", 1),
        ("solve bad.toml --json", 65),
        ("explain overshot", 65),
        ("--help", 0),
        ("nothing", 64),
    ],
)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_status(
    command: str, status: int, closed: str, process_env: dict[str, str], shared: Path
) -> None:
    done = run_in_shell(f"{command} {closed}", process_env, shared)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_a_closed_input_is_an_empty_one(process_env: dict[str, str], tmp_path: Path) -> None:
    done = run_in_shell("history - <&-", process_env, tmp_path)
    assert done.returncode == 65
    assert "the history is empty" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("more", ["", "--json"])
def test_an_output_that_takes_nothing_is_64(more: str, process_env: dict[str, str], shared: Path) -> None:
    done = run_in_shell(f"replay race.toml cs1:60/0.0 {more} > /dev/full", process_env, shared)
    assert done.returncode == 64
    assert done.stderr == "error: cannot write the output: No space left on device [cannot-write]\n"


def test_what_cannot_be_read_is_no_output(capsound: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("capsound_checker.audit.auditing.Auditor.run", spoilt)
    (tmp_path / "log.jsonl").touch()
    ran = capsound("audit", "log.jsonl", cwd=tmp_path)
    assert ran.status == 65
    assert ran.err == "error: Input/output error\n"


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed (SIGKILL)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        ("raise MemoryError", "ran out of memory"),
    ],
)
def test_a_solver_that_is_killed_is_unknown_and_no_bug(
    ending: str, said: str, process_env: dict[str, str], shared: Path
) -> None:
    program = f"""
import os, signal, sys
import capsound_proofs.solve as s, capsound_checker.__main__ as m
def ended(*a, **k):
    {ending}
s.solve = ended
m.main(sys.argv[1:])
"""
    for more, status in (([], 2), (["--expect"], 1), (["--json"], 2)):
        done = subprocess.run(
            [sys.executable, "-c", program, "solve", "race.toml", *more],
            cwd=shared, env=process_env, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert done.returncode == status
        assert said in " ".join(done.stdout.split())
        assert "bug of capsound" not in done.stdout + done.stderr
