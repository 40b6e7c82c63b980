"""The zoo through ``capsound check``: in another process, by every driver that applies, the names and guarantees are the same.

``make test`` takes a few, ``make deep`` all.
"""

from __future__ import annotations

import pytest
from zoo import FOLDER, NAMES, animal

from capsound.verdict import Verdict
from capsound_checker.check.checking import check
from capsound_checker.check.plan import Plan
from capsound_checker.check.results import Checked

FEW = (
    "check_then_act",
    "overrun_forgiven",
    "cancel_after_send_refunds",
    "overrun_into_debt",
    "lock_released_on_cancel",
    "hang_lock_not_released_on_cancel",  # what was tried before the hang still counts
    "copied_hold_resolves_once",  # a call can be given up only before it is sent
)


HIDDEN = {"self_merge_deadlock": "concurrent"}
"""What is kept for certain where a hang hides the rest: this one hangs in the first programs that merge slices."""


def checked(name: str, programs: int) -> Checked:
    return check(Plan(f"{FOLDER / name}.py:Target", programs=programs, seconds=120))


def judged_as_it_says_of_itself(name: str, programs: int = 250) -> None:
    said, one = checked(name, programs), animal(name)
    if one.ANOMALY is None:
        assert (said.verdict, said.doubts) == (Verdict.SOUND, ())
    else:
        assert one.ANOMALY in {shown.anomaly for shown in said.shown}
        assert said.strongest.label == HIDDEN.get(name, one.KEEPS)


@pytest.mark.usefixtures("one_nursery")
@pytest.mark.parametrize("name", FEW)
def test_a_few_get_their_verdict(name: str) -> None:
    """In a few programs: ``test_zoo_faults`` and ``test_zoo_twins`` hunt at length, in this process."""
    judged_as_it_says_of_itself(name, programs=50)


@pytest.mark.deep
@pytest.mark.parametrize("name", NAMES)
def test_each_gets_its_verdict(name: str) -> None:
    judged_as_it_says_of_itself(name)
