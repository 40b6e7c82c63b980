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
from capsound_checker.check.replaying import replay_target
from capsound_checker.check.results import Checked

FILE = Path(__file__).with_name("wicked_budgets.py")

FAULTS = ("FromTen", "Hundreds", "Wraps", "Expires", "NextMonth", "NextMonthByItsOwnDate")


def looked(target: str, *, programs: int = 40) -> Checked:
    return check(Plan(target, programs=programs, seconds=600, drivers=("programs",)))


@pytest.mark.usefixtures("one_nursery")
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


@pytest.mark.usefixtures("one_nursery")
@pytest.mark.parametrize("name", ["Sound", "Watches", "NoLargerThanAWord"])
def test_its_sound_twin_is_not_accused(name: str) -> None:
    said = looked(f"{FILE}:{name}", programs=120)
    assert (said.faults, said.verdict) == ((), Verdict.SOUND)
    untried = [told for told in (*said.notes, *said.unvaried) if "amounts from 2^31" in told]
    assert len(untried) == (2 if name == "NoLargerThanAWord" else 0), "why, and that it was not varied"
    assert "time" not in said.unvaried


def test_where_no_time_can_pass_it_is_told_and_accuses_nobody() -> None:
    said = looked(f"{FILE.with_name('wicked_dates_inside.py')}:Timeless")
    assert (said.faults, said.verdict, said.doubts) == ((), Verdict.SOUND, ())
    assert "time" in said.unvaried
    assert [told for told in said.notes if "metaclass conflict" in told]


def test_a_fault_under_another_hash_seed_is_found(process_env: dict[str, str], tmp_path: Path) -> None:
    ask = [sys.executable, "-c", "print(hash('capsound'))"]
    env = process_env | {"PYTHONHASHSEED": "1"}
    seen = subprocess.run(ask, env=env, capture_output=True, text=True, check=True).stdout.strip()
    file = tmp_path / "hashing.py"
    file.write_text(FILE.read_text().replace("SEEN = 0", f"SEEN = {seen}"))
    assert looked(f"{file}:Hashes").verdict is Verdict.VIOLATED


@pytest.mark.parametrize("name", ["LooksForModules", "LooksAtItsArguments"])
def test_a_budget_that_looks_whether_it_is_watched_is_found(name: str) -> None:
    said = looked(f"{FILE}:{name}")
    assert said.verdict is Verdict.VIOLATED
    least = min(said.faults, key=lambda shown: len(shown.program))
    hidden = name == "LooksForModules"
    assert least.elsewhere is hidden, "its arguments say nothing in any process"
    again = replay_target(Plan(said.plan.target, python=sys.executable if hidden else ""), least.token)
    assert again.verdict is Verdict.VIOLATED


@pytest.mark.parametrize(
    ("name", "bound"),
    [("Collected", "handles that are dropped"), ("BooksWhenItIsRead", "whether anybody reads its balances")],
)
def test_what_no_run_can_show_is_told(name: str, bound: str) -> None:
    said = looked(f"{FILE}:{name}")
    assert said.verdict is Verdict.SOUND
    assert bound in said.unvaried


def test_what_it_can_still_see_is_told() -> None:
    said = looked(f"{FILE}:LooksAtItsCallers")
    assert said.verdict is Verdict.SOUND
    assert "what called it, and which process started it" in said.unvaried
    assert "whether capsound is loaded" not in said.unvaried


def test_a_fault_that_needs_time_is_replayed_with_the_time() -> None:
    said = looked(f"{FILE}:NextMonth")
    shown = said.faults[0]
    ticks = [step for step in shown.program if step.do == "tick"]
    assert sum(step.amount for step in ticks) >= 86_400
    assert "tick" in shown.token
