"""Many programs are shared by several children: each runs its own, and together they run those of one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from capsound_checker.check import checking
from capsound_checker.check.checking import (
    MOST,
    MOST_OVER_A_PIPE,
    SHARED_BY,
    check,
    in_parts,
    in_turns,
    planned,
    shared,
)
from capsound_checker.check.hearing import Heard
from capsound_checker.check.plan import Plan
from capsound_checker.check.verdicts import data

ZOO = Path(__file__).resolve().parent.parent / "quality" / "zoo"
COUNTER: Mapping[str, Any] = {"claims": ["threads"], "gate": "reserve", "waits": False, "offers": ["reserve", "spent"]}


HOUR = 3_600.0


@pytest.mark.parametrize("programs", [1, MOST, MOST + 1, 3 * MOST, 3 * MOST + 7, SHARED_BY * MOST, 10**9])
@pytest.mark.parametrize("seconds", [3.0, 60.0, HOUR])
def test_parts_run_each_program_once(programs: int, seconds: float) -> None:
    parts = in_parts({"job": "misuse", "profiles": ("misuse",), "programs": programs}, seconds)
    assert parts[0]["first"] == 0
    for part, after in pairwise(parts):
        assert part["first"] + part["programs"] == after["first"]
    assert parts[-1]["first"] + parts[-1]["programs"] == programs
    assert all(part["programs"] and part["parts"] == len(parts) for part in parts)
    assert len(parts) == 1 or len(parts) * 30 <= seconds
    if seconds == HOUR:
        assert len(parts) == min(SHARED_BY, -(-programs // MOST))


def test_what_runs_no_programs_stays_whole() -> None:
    assert in_parts({"job": "threads", "programs": 10 * MOST}, HOUR) == [{"job": "threads", "programs": 10 * MOST}]


def test_few_programs_are_run_over_a_pipe() -> None:
    for programs, most in ((10, 10), (20 * MOST, MOST_OVER_A_PIPE)):
        jobs = planned(Plan("x.py:X", programs=programs), COUNTER)
        assert sum(job["programs"] for job in jobs if job.get("elsewhere")) == most


def test_parts_get_the_time_that_the_whole_would_get() -> None:
    whole = shared(planned(Plan("x.py:X", programs=MOST, seconds=HOUR), COUNTER))
    jobs = planned(Plan("x.py:X", programs=5 * MOST, seconds=HOUR), COUNTER)
    left, given = 1.0, 0.0
    for job, share in zip(jobs, shared(jobs), strict=True):
        if job.get("profiles") == jobs[0]["profiles"]:
            given += left * share
        left -= left * share
    assert given == pytest.approx(whole[0])


def test_several_children_begin_with_the_longest_jobs_and_one_keeps_their_order() -> None:
    heard = [Heard(job) for job in planned(Plan("x.py:X"), COUNTER)]
    assert in_turns(heard, 1) == heard
    begun = in_turns(heard, 2)
    assert {one.job["job"] for one in begun[:2]} == {"threads", "programs"}
    assert any(one.job.get("elsewhere") for one in begun[:2])
    assert sorted(map(id, begun)) == sorted(map(id, heard))


def test_parts_say_what_the_whole_says(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(
        f"{ZOO / 'second_settle_ignored.py'}:Target", programs=24, seconds=3_600.0, drivers=("programs", "misuse")
    )
    whole = data(check(plan))
    monkeypatch.setattr(checking, "MOST", 10)
    parts = data(check(plan))
    told = ("verdict", "strongest", "programs", "operations", "doubts", "findings")
    assert {name: parts[name] for name in told if name in whole} == {
        name: whole[name] for name in told if name in whole
    }
    assert "programs" in whole
    assert "operations" in whole


def test_the_last_part_finds_what_the_first_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each program alone in its part: whichever shows the fault, it is found."""
    monkeypatch.setattr(checking, "MOST", 1)
    plan = Plan(f"{ZOO / 'check_then_act.py'}:Target", programs=3, seconds=3_600.0, drivers=("programs",))
    assert data(check(plan))["verdict"] == "violated"
