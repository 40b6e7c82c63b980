"""``make matrix``: which versions it takes, what it calls, and that what was not run has not passed."""

from __future__ import annotations

import re
from pathlib import Path

import matrix
import pytest
from matrix import Ran

ROOT = Path(__file__).parents[2]


def test_the_versions_are_those_that_the_package_claims() -> None:
    assert matrix.versions() == ["3.11", "3.12", "3.13", "3.14"]
    told = re.findall(r"from (3\.\d+) to (3\.\d+) that is here", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert told == [(matrix.versions()[0], matrix.versions()[-1])]


@pytest.mark.parametrize(
    ("became", "status", "last"),
    [
        ({"3.12": (0, "9 passed in 1.00s")}, 0, "Python 3.12: passed (9 passed in 1.00s)"),
        ({"3.12": (2, "1 failed, 8 passed in 1.00s")}, 1, "Python 3.12: FAILED (1 failed, 8 passed in 1.00s)"),
        ({"3.12": (2, "no test was run")}, 1, "Python 3.12: FAILED (no test was run)"),
        ({}, 2, "Python 3.12: not run (not here)"),
    ],
)
def test_what_was_not_run_has_not_passed(
    became: dict[str, tuple[int, str]],
    status: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(version: str, python: str, tests: list[str]) -> Ran:
        assert (python, tests) == ("there", ["tests/unit"])
        return Ran(version, *became[version])

    monkeypatch.setattr(matrix, "interpreter", lambda version: "there" if version in became else None)
    monkeypatch.setattr(matrix, "run", run)
    assert matrix.main(["--only", "3.12", "tests/unit"]) == status
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_an_interpreter_that_is_none_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shim of pyenv starts nothing where its version is not chosen, and another Python may have the name."""
    for name, script in (("python3.12", "exit 127"), ("python3.13", "echo 3.8 cpython")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(matrix, "PYENV", tmp_path / "versions")
    assert [matrix.interpreter(version) for version in ("3.12", "3.13", "3.14")] == [None] * 3
