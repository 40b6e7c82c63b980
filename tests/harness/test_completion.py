"""``python -m capsound`` is the command, and tab completion offers what the command line takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsound_checker.commands import cli

Runs = Callable[..., Any]
MODEL = Path(__file__).resolve().parents[2] / "model"


def python_m(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "capsound", *arguments], env=env, capture_output=True, text=True)


def test_python_m_capsound_is_the_command(process_env: dict[str, str], capsound: Runs) -> None:
    ran = python_m("explain", "overshoot", env=process_env)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == capsound("explain", "overshoot").out


def test_python_m_capsound_keeps_the_exit_status(process_env: dict[str, str]) -> None:
    ran = python_m("explain", "overshot", env=process_env)
    assert ran.returncode == 65
    assert "overshoot" in ran.stderr


def test_where_only_the_model_is_installed_the_cure_is_named() -> None:
    command = [sys.executable, "-S", "-m", "capsound", "--version"]
    ran = subprocess.run(command, env={"PYTHONPATH": str(MODEL)}, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (64, "")
    assert "only its model" in ran.stderr
    assert "pip install" in ran.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_capsound(shell: str, capsound: Runs) -> None:
    script = capsound("completion", shell).out
    assert f"_CAPSOUND_COMPLETE={shell}_complete" in script
    assert "capsound" in capsound("completion", "--help").out
    if shutil.which(shell):
        assert subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True).returncode == 0


def completed(line: str, env: dict[str, str]) -> set[str]:
    """Return what bash is offered at the end of a line."""
    words = {"_CAPSOUND_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    command = [sys.executable, "-m", "capsound"]
    ran = subprocess.run(command, env={**env, **words}, capture_output=True, text=True, check=True)
    return {entry.partition(",")[2] for entry in ran.stdout.split()}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("capsound ", set(cli.commands)),
        ("capsound check --require over", {"overrun-bounded"}),
        ("capsound check --driver th", {"threads"}),
        ("capsound explain oversh", {"overshoot"}),
        ("capsound completion z", {"zsh"}),
    ],
)
def test_completion_offers(line: str, offered: set[str], process_env: dict[str, str]) -> None:
    assert completed(line, process_env) == offered
