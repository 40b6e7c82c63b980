"""What is exported to an explicit-state model checker is the same scenario: it says the same."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import load_scenario

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = shutil.which("spin") is not None and shutil.which("cc") is not None

ALIKE = [
    ("race-a-racy-counter", "violated"),
    ("race-b-reserve-settle", "sound for these"),
    ("two-phase", "violated"),
    ("lost-update-counter", "violated"),
    ("race-d-racy-cap-100", "sound for these"),
]


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
@pytest.mark.parametrize(("name", "verdict"), ALIKE)
def test_spin_says_the_same(name: str, verdict: str) -> None:
    assert checkers().spin(exported(name)).verdict == verdict


JAR = os.environ.get("TLA2TOOLS", "")
"""The jar of TLC, where there is one."""


def module_of(name: str) -> str:
    scenario = load_scenario(ROOT / "scenarios" / f"{name}.toml", known_disciplines=DISCIPLINES)
    return str(checkers().tla(scenario))


def test_a_block_is_one_action_of_tla() -> None:
    module = module_of("race-b-reserve-settle")
    actions = [line.partition(" ==")[0] for line in module.splitlines() if line.startswith("Step")]
    assert actions == [f"Step{agent}x{block}" for agent in (1, 2, 3) for block in (0, 1, 2)]
    assert "Next == " + " \\/ ".join(actions) in module
    assert "l1 == [l0 EXCEPT !.available = @ - c0.cover, !.held = @ + c0.cover]" in module
    assert "IF c0.cover <= ledger.available THEN (ledger' = l1" in module
    assert "bill <= call[1].cover" in module
    assert "Cap == ledger.billed <= 60" in module


def test_what_is_read_in_one_block_is_kept_until_another_writes_it() -> None:
    module = module_of("lost-update-counter")
    assert "c1 == [c0 EXCEPT !.seen = l0.charged]" in module
    assert "l1 == [l0 EXCEPT !.available = @ + l0.charged - c0.seen - c0.bill, !.charged = c0.seen + c0.bill]" in module


@pytest.mark.parametrize("name", ["delegation-three-deep", "cancel-forfeit", "stream-cut-short", "unicode-tools"])
def test_what_promela_cannot_say_is_not_said_in_tla(name: str) -> None:
    with pytest.raises(ValueError, match="not exported"):
        module_of(name)


@pytest.mark.skipif(not (JAR and shutil.which("java")), reason="TLA2TOOLS names no jar of TLC, or there is no Java")
@pytest.mark.parametrize(("name", "verdict"), ALIKE)
def test_tlc_says_the_same(name: str, verdict: str) -> None:
    assert checkers().tlc(module_of(name), Path(JAR)).verdict == verdict
