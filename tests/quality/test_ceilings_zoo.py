"""Several ceilings over one call: every fault is found by its name, and its sound twin passes."""

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
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import CEILINGS

FOLDER = Path(__file__).parent / "zoo_of_ceilings"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "ceilings_base")


animal = partial(zoo.animal, folder=FOLDER)


@cache
def judged(name: str) -> Judgement:
    return judge(animal(name).Target, programs=120, enough=6, profiles=CEILINGS)


@pytest.mark.parametrize("name", [name for name in NAMES if animal(name).ANOMALY is not None])
def test_a_fault_of_ceilings_is_found_and_named(name: str) -> None:
    fault, said = animal(name), judged(name)
    assert said.first is not None, "nothing was found"
    assert (said.first.name, said.strongest.label) == (fault.ANOMALY, fault.KEEPS)
    assert set(getattr(fault, "ALSO", ())) <= set(said.found)
    again = Lockstep(fault.Target()).run(said.first.program)
    assert again.wrong()[0].anomaly == fault.ANOMALY


@pytest.mark.parametrize("name", [name for name in NAMES if animal(name).ANOMALY is None])
def test_a_twin_of_ceilings_passes(name: str) -> None:
    assert judged(name).found == {}
    assert animal(animal(name).TWIN).ANOMALY is not None


def test_check_says_sound_where_calls_were_asked_for_under_several_ceilings() -> None:
    said = check(Plan(f"{FOLDER / 'held_at_once.py'}:Target", programs=80, seconds=240))
    assert (said.verdict, said.doubts, said.shown) == (Verdict.SOUND, (), ())
    for guarantee in (Guarantee.SEQUENTIAL, Guarantee.CONCURRENT, Guarantee.FAULT_TOLERANT, Guarantee.OVERRUN_BOUNDED):
        assert said.tried(guarantee)["ceilings"] > 0


@pytest.mark.deep
@pytest.mark.parametrize("name", NAMES)
def test_check_finds_the_same_of_ceilings_in_another_process(name: str) -> None:
    one = animal(name)
    said = check(Plan(f"{FOLDER / name}.py:Target", programs=120, seconds=240))
    if one.ANOMALY is None:
        assert (said.verdict, said.doubts) == (Verdict.SOUND, ())
    else:
        assert one.ANOMALY in {shown.anomaly for shown in said.shown}
        assert said.strongest.label == one.KEEPS


@pytest.mark.deep
def test_the_ceilings_of_the_reference_are_sound_in_their_window_under_threads() -> None:
    target = Path(__file__).parents[1] / "support" / "reference_adapter.py"
    said = check(Plan(f"{target}:CeilingsAdapter", programs=150, seconds=600))
    assert (said.verdict, said.doubts, said.shown) == (Verdict.SOUND, (), ())
    assert said.strongest is Guarantee.OVERRUN_BOUNDED
    tried = said.tried(Guarantee.CONCURRENT)
    assert min(tried[name] for name in ("ended", "carried", "ceilings", "threads", "histories")) > 0
