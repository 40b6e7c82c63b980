"""What is exported to an explicit-state model checker is the same scenario: it says the same."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import load_scenario

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = shutil.which("spin") is not None and shutil.which("cc") is not None


def checkers() -> Any:
    spec = importlib.util.spec_from_file_location("explicit_checkers", ROOT / "benchmarks" / "explicit_checkers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def exported(name: str) -> str:
    scenario = load_scenario(ROOT / "scenarios" / f"{name}.toml", known_disciplines=DISCIPLINES)
    return str(checkers().promela(scenario))


def test_a_block_is_one_atomic_step() -> None:
    assert "if :: cover <= available -> available = available - cover; held = held + cover" in exported(
        "race-b-reserve-settle"
    )


@pytest.mark.parametrize("name", ["delegation-three-deep", "cancel-forfeit", "stream-cut-short", "unicode-tools"])
def test_what_it_cannot_say_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not exported"):
        exported(name)


@pytest.mark.skipif(not INSTALLED, reason="spin and a C compiler are not installed")
@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("race-a-racy-counter", "violated"),
        ("race-b-reserve-settle", "sound for these"),
        ("two-phase", "violated"),
        ("lost-update-counter", "violated"),
        ("race-d-racy-cap-100", "sound for these"),
    ],
)
def test_spin_says_the_same(name: str, verdict: str) -> None:
    assert checkers().spin(exported(name)).verdict == verdict
