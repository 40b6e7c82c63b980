"""The vendors' own clients inside: what is found, in how many schedules, and that none of their parts is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clients import environment

PLACE = Path(__file__).resolve().parent / "inside"


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return environment.python()
    except environment.NotThere as missing:
        pytest.skip(str(missing))


def wire(python: Path, name: str, cap: str, *options: str, hashing: str = "0") -> dict[str, Any]:
    """Run the command with the interpreter that has the clients; capsound and what it needs are lent to it."""
    paths = os.pathsep.join(path for path in sys.path if path and not path.endswith("fake_client"))
    done = subprocess.run(
        [python, "-m", "capsound_checker", "wire", "--inside", name, "--cap", cap, "--json", *options],
        cwd=PLACE,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": hashing},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode in (0, 1, 2), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "cap", "refutes", "cause"),
    [
        ("openai_agents.py:racy", "400tokens", "concurrent", "check-then-act"),
        ("openai_agents.py:retried", "400tokens", "fault-tolerant", "retry-under-one-hold"),
        ("anthropic_agents.py:racy", "300tokens", "concurrent", "check-then-act"),
        ("gemini_agents.py:racy", "300tokens", "concurrent", "check-then-act"),
    ],
)
def test_a_fault_is_found_and_named(python: Path, name: str, cap: str, refutes: str, cause: str) -> None:
    told = wire(python, name, cap)
    assert told["verdict"] == "violated"
    assert (told["found"][0]["refutes"], told["found"][0]["cause"]) == (refutes, cause)
    assert told["found"][0]["confirmed"]
    assert told["runs"] <= 12


@pytest.mark.deep
@pytest.mark.parametrize(
    ("name", "cap"), [("openai_agents.py:cured", "400tokens"), ("anthropic_agents.py:cured", "300tokens")]
)
def test_its_cure_is_sound_and_complete(python: Path, name: str, cap: str) -> None:
    told = wire(python, name, cap)
    assert (told["verdict"], told["complete"], told["doubts"], told["found"]) == ("sound", True, [], [])


@pytest.mark.deep
def test_three_agents_of_two_calls_have_ninety_orders_and_the_same_bytes(python: Path) -> None:
    first, second = (
        wire(python, "openai_agents.py:independent", "100000tokens", "--runs", "60", hashing=hashing)
        for hashing in ("1", "2")
    )
    assert first == second
    assert first["explored"][0].startswith("every order of answers (90 schedules, ")


@pytest.mark.deep
def test_a_transport_that_is_not_served_is_named(python: Path) -> None:
    told = wire(python, "gemini_agents.py:by_aiohttp", "300tokens")
    assert told["verdict"] == "unknown"
    assert any("not served inside" in doubt for doubt in told["doubts"])
