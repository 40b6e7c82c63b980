"""Inputs that capsound once got wrong: each has the right answer now, or stands on the list of what is open.

``python -m pytest tests/quality/test_cases.py`` (``make cases``). What a case is: ``tests/cases/README.md``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[1] / "cases"
LISTED: list[dict[str, Any]] = tomllib.loads((CASES / "cases.toml").read_text())["case"]
PATIENCE = 900
"""Seconds after which a case is given up: a limit for what hangs, and no measure of anything."""


def run(command: str, folder: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run one case; return the status and all that it printed. Whatever it started ends with it."""
    program, *arguments = shlex.split(command)
    what = [sys.executable, "-m", "capsound_checker"] if program == "capsound" else [sys.executable]
    started = subprocess.Popen(
        [*what, *arguments],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="backslashreplace",
    )
    try:
        out, _ = started.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
        return -1, f"no answer after {PATIENCE} s"
    return started.returncode, out


def faults(case: dict[str, Any], status: int, out: str) -> list[str]:
    """Return what is wrong with an answer."""
    wanted = case["status"] if isinstance(case["status"], list) else [case["status"]]
    wrong = [] if status in wanted else [f"status {status}, not {' or '.join(map(str, wanted))}"]
    wrong += [f"does not say {text!r}" for text in case.get("says", ()) if not re.search(text, out, re.MULTILINE)]
    wrong += [f"says {text!r}" for text in case.get("never", ()) if re.search(text, out, re.MULTILINE)]
    if status == 70 or (case["run"].startswith("capsound") and "Traceback (most recent call last)" in out):
        wrong.append("a bug of ours")
    return wrong


def test_every_file_of_the_cases_is_used() -> None:
    used = " ".join(case["run"] for case in LISTED)
    beside = {"SOURCES.md", "README.md", "base.py", "cases.toml", "racy-node-by-itself.cjs", "mine.toml"}
    files = [
        p.relative_to(CASES).as_posix() for p in CASES.rglob("*") if p.is_file() and p.suffix not in (".pyc", ".zip")
    ]
    assert not [file for file in files if Path(file).name not in beside and file not in used]


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.deep] if c.get("deep") else []) for c in LISTED],
    ids=[c["name"] for c in LISTED],
)
@pytest.mark.timeout(PATIENCE + 30)
def test_case(case: dict[str, Any], process_env: dict[str, str], tmp_path: Path) -> None:
    if case.get("needs") and shutil.which(case["needs"]) is None:
        pytest.skip(f"there is no {case['needs']} here")
    status, out = run(case["run"], CASES, {**process_env, "PYTHONDONTWRITEBYTECODE": "1"})
    wrong = faults(case, status, out)
    if "open" in case:
        assert wrong, f"this case is right now: take `open = {case['open']!r}` out of cases.toml"
        pytest.xfail(f"{case['open']}: {'; '.join(wrong)}")
    assert not wrong, f"{'; '.join(wrong)}\n$ {case['run']}\n{out[-4000:]}"
