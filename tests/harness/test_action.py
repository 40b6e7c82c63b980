"""The action and the hooks that ship: what they run is run here, as a workflow or pre-commit would run it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

REPOSITORY = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
SCENARIO = REPOSITORY / "scenarios" / "race-a-racy-counter.toml"
SOUND = REPOSITORY / "scenarios" / "race-b-reserve-settle.toml"
COUNTER = REPOSITORY / "tests" / "docs" / "desk" / "counter_adapter.py"

ADAPTER = f"{COUNTER}:CounterAdapter\n--driver\nprograms\n--programs\n5"


@pytest.fixture
def runner(tmp_path: Path, process_env: dict[str, str]) -> Callable[..., tuple[int, str, str, str]]:
    """Return what runs a step of the action with what the step before it has installed."""
    shim = tmp_path / "capsound" / "bin" / "capsound"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m capsound_checker "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    summary, output = tmp_path / "summary.md", tmp_path / "output"
    files = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output), "RUNNER_TEMP": str(tmp_path)}

    def run(inputs: Mapping[str, str], name: str = "Run capsound") -> tuple[int, str, str, str]:
        given = {key: one.get("default", "") for key, one in ACTION["inputs"].items()} | dict(inputs)
        step = STEPS[name]
        env = {
            key: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: given[found[1]], value)
            for key, value in step["env"].items()
        }
        # As GitHub runs `shell: bash`: https://docs.github.com, workflow syntax.
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env={**process_env, **env, **files, "GITHUB_ACTION_PATH": str(REPOSITORY)},
            cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        told = summary.read_text(encoding="utf-8") if summary.exists() else ""
        return (
            done.returncode,
            done.stdout,
            told,
            output.read_text(encoding="utf-8") if output.exists() else done.stderr,
        )

    return run


def test_nothing_of_others_is_used_and_no_input_reaches_a_script_as_code() -> None:
    assert all("uses" not in step for step in STEPS.values())
    for step in STEPS.values():
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    assert '"$GITHUB_ACTION_PATH"' in STEPS["Install capsound"]["run"]


def test_solve_fails_with_a_summary(runner: Callable[..., Any]) -> None:
    status, out, summary, output = runner({"arguments": f"{SCENARIO}\n--no-color"})
    assert (status, output) == (1, "status=1\n")
    assert "VIOLATED" in out
    assert summary.startswith("**violated**: race-a-racy-counter: cap (`overshoot`)")
    assert "The likely cure: the discipline reserve-settle" in summary


def test_solve_passes_what_is_sound(runner: Callable[..., Any]) -> None:
    status, _, summary, output = runner({"arguments": str(SOUND)})
    assert (status, output) == (0, "status=0\n")
    assert summary.startswith("**sound**: ")


def test_check_annotates(runner: Callable[..., Any]) -> None:
    status, out, summary, _ = runner({"command": "check", "arguments": ADAPTER})
    assert status == 1
    assert "::error file=" in out
    assert "sequenceDiagram" in summary


def test_wire_runs_an_application(runner: Callable[..., Any], tmp_path: Path) -> None:
    from capsound_checker.wire.template import app_template

    (tmp_path / "app.py").write_text(app_template(), encoding="utf-8")
    words = ["--cap", "600tokens", "--", sys.executable, "app.py", "racy"]
    status, _, summary, _ = runner({"command": "wire", "arguments": "\n".join(words)})
    assert status == 1
    assert "check-then-act" in summary


@pytest.mark.parametrize("name", ["prove", "solve; true", "", "$(true)"])
def test_other_commands_are_refused(name: str, runner: Callable[..., Any]) -> None:
    status, _, _, err = runner({"command": name, "arguments": str(SOUND)})
    assert status == 64
    assert "command is solve, check or wire" in err


def test_an_argument_is_one_argument_whatever_is_in_it(runner: Callable[..., Any], tmp_path: Path) -> None:
    odd = tmp_path / "a file; $(touch made) `touch made`.toml"
    odd.write_bytes(SOUND.read_bytes())
    assert runner({"arguments": f"{odd}\n"})[0] == 0
    assert not (tmp_path / "made").exists()


def test_the_install_step_makes_an_environment_and_installs_this_commit(
    runner: Callable[..., Any], tmp_path: Path
) -> None:
    fake = tmp_path / "python"
    fake.write_text(
        '#!/bin/sh\necho "$@" >> said\nmkdir -p "$3/bin" && cp "$0" "$3/bin/python" 2>/dev/null || true\n',
        encoding="utf-8",
    )
    fake.chmod(0o755)
    assert runner({"python": str(fake)}, "Install capsound")[0] == 0
    venv, install = (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    assert venv == f"-m venv {tmp_path}/capsound"
    assert install == f"-m pip install --quiet --disable-pip-version-check {REPOSITORY}"


HOOK_ARGUMENTS: dict[str, tuple[int, list[str]]] = {
    "capsound-solve": (0, [str(SCENARIO), str(SOUND)]),  # both are as they expect to be
    "capsound-check": (1, ADAPTER.split("\n")),
    "capsound-wire": (64, []),
}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hooks_run_their_command(hook: dict[str, Any], capsound: Callable[..., Any]) -> None:
    status, arguments = HOOK_ARGUMENTS[hook["id"]]
    program, *entry = shlex.split(hook["entry"])
    assert program == "capsound"
    assert hook["language"] == "python"
    assert hook["id"] == f"capsound-{entry[0]}"
    assert capsound(*entry, *arguments).status == status
    if hook["id"] == "capsound-solve":
        matching = re.compile(hook["files"])
        assert matching.search(os.path.relpath(SCENARIO, REPOSITORY))
        assert not matching.search("pyproject.toml")
