"""Targets that misbehave, one file each: the check survives, says what it saw, and never calls one of them sound for it."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from processes import left_behind

from capsound_checker.check.checking import check
from capsound_checker.check.children import TargetFailed
from capsound_checker.check.plan import Plan
from capsound_checker.check.results import Checked

FOLDER = Path(__file__).parent / "hostile"
FILES = sorted(path for path in FOLDER.glob("*.py") if path.stem != "hostile_base")


def expected(path: Path) -> tuple[str, str]:
    """Read what a file says of itself without importing it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            verdict, evidence = ast.literal_eval(node.value)
            return verdict, evidence
    raise AssertionError(path)


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 15 + 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_hostile_target_gets_its_verdict(path: Path) -> None:
    verdict, evidence = expected(path)
    # A hang is confirmed in 2.5 s when all goes well, and in half a second more for each look that a busy machine spoils.
    plan = Plan(f"{path}:Target", programs=12, seconds=3_600, memory=1_024, silence=5.0, load_seconds=15.0)
    if verdict == "error":
        with pytest.raises(TargetFailed, match=evidence):
            check(plan)
    else:
        told = check(plan)
        assert (told.verdict.value, told.doubts if verdict == "sound" else ()) == (verdict, ()), told.doubts
        assert evidence in words(told)
    assert left_behind(os.getpid()) == []


EARLY = """\
import sys
sys.path.insert(0, {folder!r})
from reference_adapter import ReferenceAdapter

def ours():
    return {{name for name in sys.modules if name.split(".")[0] in ("capsound", "capsound_checker")}}

class Target(ReferenceAdapter):
    threads = handlers = False

    def open(self, cap):
        if late := sorted(ours() - known):
            raise RuntimeError(f"imported after the target: {{late}}")
        return super().open(cap)

known = ours()
"""


def test_nothing_of_ours_is_imported_after_the_target(tmp_path: Path) -> None:
    """A target can replace what is there, and that is noticed; what came later would not be."""
    path = tmp_path / "early.py"
    path.write_text(EARLY.format(folder=str(Path(__file__).parents[1] / "support")))
    told = check(Plan(f"{path}:Target", programs=12, seconds=3_600))
    assert (told.verdict.value, told.doubts) == ("sound", ())


def words(told: Checked) -> str:
    return "\n".join([*told.doubts, *(f"{s.anomaly}: {s.sentence}" for s in told.shown)])
