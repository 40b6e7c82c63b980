"""What repeats itself in a long run is shown once and counted; nothing is left out or told twice."""

from __future__ import annotations

import pytest

from capsound_checker.display.repeats import LONG, Shown, summed_up


def test_a_short_run_is_shown_step_by_step() -> None:
    assert list(summed_up("ab" * 20)) == [Shown(n, n) for n in range(40)]


def test_a_long_middle_is_summed_up() -> None:
    run = "xy" + "abc" * 48 + "pq"
    assert list(summed_up(run)) == [
        Shown(0, 0),
        Shown(1, 1),
        Shown(2, 2),
        Shown(3, 3),
        Shown(4, 4),
        Shown(5, 145, 3, 47),
        Shown(146, 146),
        Shown(147, 147),
    ]


def test_what_does_not_repeat_itself_is_shown() -> None:
    assert all(not shown.times for shown in summed_up([str(n) for n in range(3 * LONG)]))


@pytest.mark.parametrize("run", ["abc" * 40 + "ab", "a" * 100, "ab" * 31 + "c" * 50 + "abab", "aab" * 30 + "aac" * 30])
def test_every_step_is_told_once(run: str) -> None:
    at = 0
    for shown in summed_up(run):
        assert shown.first == at
        length = shown.last - shown.first + 1
        if shown.times:
            assert length == shown.period * shown.times
            before = run[shown.first - shown.period : shown.first]
            assert run[shown.first : shown.last + 1] == before * shown.times
        else:
            assert length == 1
        at = shown.last + 1
    assert at == len(run)
