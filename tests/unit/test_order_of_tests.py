"""What the Makefile and ``conftest`` say of test files: each of them exists, and a run has every test once."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {path.stem for path in (ROOT / "tests").glob("*/test_*.py")}


def test_the_files_that_are_begun_first_exist() -> None:
    text = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    names = re.findall(r'"(\w+)"', text.partition("LONGEST_FIRST = [")[2].partition("]")[0])
    assert len(names) == len(set(names)) > 20
    assert set(names) <= FILES


def test_the_quick_tests_exist_and_are_the_units_of_the_model_and_the_reference() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    names = re.findall(r"^QUICK = (.*)$", text, re.MULTILINE)[0].split()
    assert {f"{name}.py" for name in names} <= {path.name for path in (ROOT / "tests" / "unit").glob("test_*.py")}
    assert {"test_model", "test_budget", "test_monitor_fast"} <= set(names)


def test_no_two_test_files_have_one_name() -> None:
    assert len(FILES) == len(list((ROOT / "tests").glob("*/test_*.py")))
