"""`capsound check --environment`: every driver runs in the environment of the target, where nothing of ours is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsound_checker.remote import interpreters
from capsound_checker.remote.interpreters import BadEnvironment, interpreter, python_of, version_of

Runs = Callable[..., Any]

ADAPTER = """
import threading
from only_here import LIMIT
from capsound.adapter import Adapter

class Locked(Adapter):
    threads = True
    refused = (PermissionError,)
    rejected = (ValueError,)
    stale = (LookupError,)

    def open(self, cap):
        return {"cap": cap, "spent": LIMIT, "lock": threading.Lock()}

    def reserve(self, budget, amount):
        if type(amount) is not int or amount < 0:
            raise ValueError(amount)
        with budget["lock"]:
            if budget["spent"] + amount > budget["cap"]:
                raise PermissionError(amount)
            budget["spent"] += amount
        return [budget, amount]

    def settle(self, hold, actual):
        budget = hold[0]
        with budget["lock"]:
            if hold[1] is None:
                raise LookupError(hold)
            budget["spent"] += actual - hold[1]
            hold[1] = None
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(path / "env")], check=True)
    library = next((path / "env").glob("lib/python*/site-packages"))
    (library / "only_here.py").write_text("LIMIT = 0\n")
    (path / "mine.py").write_text(ADAPTER)
    return path


def test_threads_are_tried_in_it(place: Path, capsound: Runs) -> None:
    plan = ("--programs", 3, "--schedules", 20, "--budget", "1h", "--driver", "programs", "--driver", "threads")
    ran = capsound("check", "mine.py:Locked", "--environment", "env", *plan, cwd=place)
    assert re.search(r"concurrent +kept .* \d+ schedules of threads", ran.out)
    assert "cannot work over a pipe" not in ran.out
    assert "mine.py imports 'only_here'" in capsound("check", "mine.py:Locked", *plan, cwd=place).err


def test_nothing_else_of_ours_can_be_imported_there(place: Path) -> None:
    with interpreter(str(place / "env")) as who:
        code = "import capsound, capsound_checker.check.worker as w; import z3"
        ran = subprocess.run(
            [who.program, "-c", code], env={"PYTHONPATH": who.path}, capture_output=True, text=True, check=False
        )
    assert "No module named 'z3'" in ran.stderr


def test_packages_that_lie_beside_others_are_taken_alone(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(interpreters, "_importable", lambda _: {"capsound", "click"})
    with interpreter(str(place / "env")) as who:
        assert sorted(path.name for path in Path(who.path).iterdir()) == sorted(interpreters.PACKAGES)


def test_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    with pytest.raises(BadEnvironment, match="is no virtual environment"):
        python_of(tmp_path)
    (tmp_path / "python").write_text("")
    with pytest.raises(BadEnvironment, match="is no Python that runs"):
        version_of(tmp_path / "python")
    monkeypatch.setattr(interpreters, "OLDEST", (4, 0))
    with pytest.raises(BadEnvironment, match="has Python 3") as error, interpreter(str(place / "env")):
        pass
    assert "--python" in error.value.hint
