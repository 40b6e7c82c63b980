"""Budgets over a window of time: every fault is found by its name, and its sound twin passes.

What looks at the clocks of Python needs a process in which they are moved, and is tried by ``capsound check`` alone.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import pytest
import zoo

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.check.checking import check
from capsound_checker.check.judging import Judgement, judge
from capsound_checker.check.plan import Plan
from capsound_checker.check.results import Checked
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import WINDOWS

FOLDER = Path(__file__).parent / "zoo_in_time"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "time_base")
OF_PYTHON = {"day_of_python"}
HERE = [name for name in NAMES if name not in OF_PYTHON]


animal = partial(zoo.animal, folder=FOLDER)


@cache
def judged(name: str) -> Judgement:
    return judge(animal(name).Target, programs=120, enough=6, profiles=WINDOWS)


FEW = {
    "reset_forgets_holds",
    "counted_from_its_hold",
    "slides_too_early",
    "reset_only_when_recorded",
    "expires_under_way",
}
"""The faults that ``make test`` takes; ``make deep`` takes all."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FEW else pytest.mark.deep)
        for name in HERE
        if animal(name).ANOMALY is not None
    ],
)
def test_a_fault_in_time_is_found_and_named(name: str) -> None:
    fault, said = animal(name), judged(name)
    assert said.first is not None, "nothing was found"
    assert (said.first.name, said.strongest.label) == (fault.ANOMALY, fault.KEEPS)
    assert set(getattr(fault, "ALSO", ())) <= set(said.found)
    again = Lockstep(fault.Target()).run(said.first.program)
    assert again.wrong()[0].anomaly == fault.ANOMALY


@pytest.mark.parametrize("name", [name for name in HERE if animal(name).ANOMALY is None])
def test_a_twin_in_time_passes(name: str) -> None:
    assert judged(name).found == {}
    assert animal(animal(name).TWIN).ANOMALY is not None


def checked(name: str) -> Checked:
    return check(Plan(f"{FOLDER / name}.py:Target", programs=80, seconds=240))


@pytest.mark.parametrize("name", ["day_of_python"])
def test_check_says_sound_where_time_was_tried(name: str) -> None:
    said = checked(name)
    assert (said.verdict, said.doubts, said.shown) == (Verdict.SOUND, (), ())
    for guarantee in (Guarantee.STOPS, Guarantee.SEQUENTIAL, Guarantee.CONCURRENT, Guarantee.OVERRUN_BOUNDED):
        assert said.tried(guarantee)["ended"] > 0
    assert said.tried(Guarantee.CONCURRENT)["carried"] > 0


@pytest.mark.deep
@pytest.mark.parametrize("name", NAMES)
def test_check_finds_the_same_in_another_process(name: str) -> None:
    said, one = checked(name), animal(name)
    assert said.strongest.label == one.KEEPS
    if one.ANOMALY is None:
        assert (said.verdict, said.doubts) == (Verdict.SOUND, ())
    else:
        assert {one.ANOMALY, *getattr(one, "ALSO", ())} <= {shown.anomaly for shown in said.shown}


def test_there_are_at_least_five_faults_of_windows() -> None:
    windows = [name for name in NAMES if animal(name).Target.window and animal(name).ANOMALY is not None]
    assert len(windows) >= 8
    assert {"every 1 h", "sliding 1 h", "day"} == {animal(name).Target.window for name in windows}
