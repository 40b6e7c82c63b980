"""Budgets that are wrong only for large amounts, later, or under another hash seed: found, and their twins let be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.check.checking import check
from capsound_checker.check.plan import Plan
from capsound_checker.check.results import Checked

FILE = Path(__file__).with_name("wicked_budgets.py")

FAULTS = ("FromTen", "Hundreds", "Wraps", "Expires", "NextMonth")


def looked(target: str, *drivers: str) -> Checked:
    return check(Plan(target, programs=120, seconds=600, drivers=drivers or ("programs",)))


@pytest.mark.parametrize("name", FAULTS)
def test_a_wicked_budget_is_found(name: str) -> None:
    said = looked(f"{FILE}:{name}")
    assert said.verdict is Verdict.VIOLATED
    assert said.refuted is not None
    assert said.refuted <= Guarantee.CONCURRENT


def test_units_that_are_lost_among_large_amounts_are_drift() -> None:
    said = looked(f"{FILE}:Floats")
    assert "ledger-drift" in {shown.anomaly for shown in said.faults}
    assert all(sum(step.amount + step.bill for step in shown.program) > 2**53 for shown in said.faults)


@pytest.mark.parametrize("name", ["Sound", "Watches", "NoLargerThanAWord"])
def test_its_sound_twin_is_not_accused(name: str) -> None:
    said = looked(f"{FILE}:{name}")
    assert (said.faults, said.verdict) == ((), Verdict.SOUND)
    untried = [told for told in (*said.notes, *said.unvaried) if "amounts from 2^31" in told]
    assert len(untried) == (2 if name == "NoLargerThanAWord" else 0), "why, and that it was not varied"
    assert "time" not in said.unvaried


def test_a_fault_under_another_hash_seed_is_found(process_env: dict[str, str], tmp_path: Path) -> None:
    ask = [sys.executable, "-c", "print(hash('capsound'))"]
    env = process_env | {"PYTHONHASHSEED": "1"}
    seen = subprocess.run(ask, env=env, capture_output=True, text=True, check=True).stdout.strip()
    file = tmp_path / "hashing.py"
    file.write_text(FILE.read_text().replace("SEEN = 0", f"SEEN = {seen}"))
    assert looked(f"{file}:Hashes").verdict is Verdict.VIOLATED


def test_a_fault_that_needs_time_is_replayed_with_the_time() -> None:
    said = looked(f"{FILE}:NextMonth")
    shown = said.faults[0]
    ticks = [step for step in shown.program if step.do == "tick"]
    assert sum(step.amount for step in ticks) >= 86_400
    assert "tick" in shown.token
