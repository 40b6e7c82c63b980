"""What an adapter says of time, and where time goes in a run."""

from __future__ import annotations

from typing import Any

import pytest
from zoo import animal

from capsound.adapter import Adapter, Gate, Provider
from capsound.windows import DAY, HOUR, SECOND, Buckets, Calendar, Every, Sliding, Whole, Window
from capsound_checker.programs.failing import AdapterFailed
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.timing import Timing, ends, steps_of_time, timing, timing_in, told_data

EVENING = 1_709_156_100 * SECOND  # 21:35 on 28 February 2024


def declaring(**said: Any) -> type[Adapter]:
    return type("Declaring", (Adapter,), said)


def told(adapter: type[Adapter]) -> Timing:
    known = timing(adapter)
    assert known is not None
    return known


def test_one_that_says_nothing_of_time_is_not_judged_in_it() -> None:
    assert timing(animal("overrun_into_debt").Target) is None


@pytest.mark.parametrize(
    ("said", "window"),
    [
        ({"window": "day"}, Calendar("day")),
        ({"window": "month", "timezone": "Europe/Berlin"}, Calendar("month", "Europe/Berlin")),
        ({"window": "every 6h"}, Every(6 * HOUR)),
        ({"window": "sliding 1 d", "buckets": 24}, Buckets(HOUR, 24)),
        ({"expires": 30}, Whole()),
        ({"clock": lambda _, now: None}, Whole()),
    ],
)
def test_a_window_is_declared_in_the_words_of_a_file_of_caps(said: dict[str, Any], window: Window) -> None:
    known = told(declaring(**said))
    assert known.window == window
    assert Timing.from_dict(known.to_dict()) == known


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"window": "hourly"}, "window is 'hourly'"),
        ({"window": "every 0 h"}, "window is 'every 0 h'"),
        ({"window": "every 2 s"}, "window is 'every 2 s'"),
        ({"window": 24}, "window is 24"),
        ({"window": "day", "timezone": "Mars/Olympus"}, "timezone is 'Mars/Olympus'"),
        ({"window": "day", "buckets": 24}, "buckets is 24"),
        ({"window": "sliding 1 h", "buckets": 7}, "buckets is 7"),
        ({"window": "sliding 1 h", "anchored": True}, "anchored is True"),
        ({"window": "day", "expires": 1.5}, "expires is 1.5"),
        ({"window": "sliding 1 h", "reset": lambda _, scope: None}, "offers reset"),
    ],
)
def test_what_cannot_be_a_window_is_refused_with_a_cure(said: dict[str, Any], what: str) -> None:
    with pytest.raises(AdapterFailed, match=what) as refused:
        timing(declaring(**said))
    assert refused.value.hint


def test_time_passes_around_the_ends_of_windows() -> None:
    day = told(declaring(window="day"))
    assert [(end - EVENING) // SECOND for end in ends(day.window, EVENING)] == [
        8_700,
        8_700 + 86_400,
        8_700 + 2 * 86_400,
    ]
    assert {8_699, 8_700, 8_701} <= set(steps_of_time(day, day.window, EVENING, []))
    hour = told(declaring(window="sliding 1 h"))
    assert {3_599, 3_600, 3_601, 1_800, 9_000} <= set(steps_of_time(hour, hour.window, EVENING, [EVENING]))
    assert {29, 30, 31} <= set(steps_of_time(told(declaring(expires=30)), Whole(), EVENING, [EVENING]))
    assert list(ends(Sliding(DAY), EVENING)) == []
    leap = ends(Calendar("month"), EVENING)
    assert (next(leap) - EVENING) // SECOND == 8_700 + 86_400  # the year has a 29 February


@pytest.mark.parametrize("window", ["day", "week", "month", "every 7 min", "sliding 1 h"])
def test_a_run_begins_within_a_window(window: str) -> None:
    known = told(declaring(window=window))
    assert known.begin % SECOND == 0
    if not isinstance(known.window, Sliding):
        assert known.window.place(known.begin - SECOND) == known.window.place(known.begin + SECOND)


class Wrapper(Adapter):
    """A wrapper with a cap for each hour: it looks at the hour when a call begins, and counts the cost there."""

    gate = Gate.CALL
    window = "every 1 h"
    now = 0

    def clock(self, now: int) -> None:
        self.now = now

    def open(self, cap: int) -> Any:
        return {"cap": cap, "costs": {}}

    async def call(self, scope: Any, estimate: int, provider: Provider) -> None:
        hour = self.now // HOUR
        if scope["costs"].get(hour, 0) + estimate > scope["cap"]:
            raise ValueError("over")
        scope["costs"][hour] = scope["costs"].get(hour, 0) + estimate
        scope["costs"][hour] += await provider() - estimate

    refused = (ValueError,)

    def spent(self, scope: Any) -> int:
        return int(scope["costs"].get(self.now // HOUR, 0))

    def remaining(self, scope: Any) -> int:
        return int(scope["cap"]) - self.spent(scope)


def test_a_call_of_the_library_is_billed_while_it_is_at_the_provider() -> None:
    run = Lockstep(Wrapper())
    run.open(new=0, amount=1)
    run.begin(on=0, new=0, amount=1, bill=0)
    run.tick(amount=3_600)
    run.bill(on=0, bill=1)
    run.reply(on=0)
    run.begin(on=0, new=1, amount=1, bill=1)
    run.reply(on=1)
    assert {finding.anomaly for finding in run.wrong()} >= {"ledger-drift", "over-admit", "window-leak"}
    data = told_data(run.events, run.moments, told(Wrapper), {})
    assert timing_in(data) == told(Wrapper)
    assert data[-1]["at"] == told(Wrapper).begin + HOUR
