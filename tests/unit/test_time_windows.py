"""Windows: what counts when, by definition, by hand, and by the meter that does not ask about each pair."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.windows import (
    DAY,
    HOUR,
    Buckets,
    Calendar,
    Every,
    Meter,
    Over,
    Sliding,
    Whole,
    Window,
    in_steps,
    in_words,
    spent,
    written,
)


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


windows = st.one_of(
    st.just(Whole()),
    st.builds(Every, st.integers(1, 9), st.integers(-5, 5)),
    st.builds(Sliding, st.integers(1, 9)),
    st.builds(Buckets, st.integers(1, 5), st.integers(1, 4), st.integers(-5, 5)),
)
bills = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 9)), max_size=12)


@given(windows, bills, st.integers(0, 25))
def test_the_meter_agrees_with_the_definition(window: Window, bills: list[tuple[int, int]], cap: int) -> None:
    meter = Meter(window)
    for moment, amount in bills:
        meter.add(moment, amount)
    # Of all bills of one window or bucket some come later than others: it is full at its end.
    last = {window.place(moment): moment for moment, _ in sorted(bills)}
    totals = {place: spent(window, bills, moment) for place, moment in last.items()}
    assert {place: total for place, _, total in meter.totals()} == totals
    assert meter.most()[1] == max(totals.values(), default=0)
    broken = {place: total for place, total in totals.items() if total > cap}
    over = meter.over(cap)
    assert (over is None) == (not broken)
    if over is not None:
        assert over.first == min(broken.items())
        assert over.largest[1] == max(broken.values())
        if not isinstance(window, Sliding):
            assert over.times == len(broken)


@given(st.integers(1, 9), bills, st.integers(0, 25))
def test_how_often_a_sliding_window_is_exceeded(length: int, bills: list[tuple[int, int]], cap: int) -> None:
    window, meter = Sliding(length), Meter(Sliding(length))
    for moment, amount in bills:
        meter.add(moment, amount)
    line = [spent(window, bills, now) > cap for now in range(-21, 32)]
    over = meter.over(cap)
    assert (0 if over is None else over.times) >= sum(now and not before for before, now in pairwise(line))


@given(bills, st.integers(1, 4), st.integers(1, 5), st.integers(0, 25))
def test_a_cap_over_any_span_is_stronger_than_one_over_its_buckets(
    bills: list[tuple[int, int]], number: int, length: int, cap: int
) -> None:
    sliding, buckets, every = (
        Meter(Sliding(number * length)),
        Meter(Buckets(length, number)),
        Meter(Every(number * length)),
    )
    for moment, amount in bills:
        for meter in (sliding, buckets, every):
            meter.add(moment, amount)
    if sliding.over(cap) is None:
        assert buckets.over(cap) is None
        assert every.over(cap) is None


def test_a_day_begins_at_midnight_of_its_zone() -> None:
    berlin, utc = Calendar("day", "Europe/Berlin"), Calendar("day")
    late, early = at("2026-11-28T23:30", "Europe/Berlin"), at("2026-11-29T00:30", "Europe/Berlin")
    assert not berlin.counts(late, early)
    assert utc.counts(late, early)
    assert berlin.named(berlin.place(late)) == "2026-11-28 in Europe/Berlin"


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_is_as_long_as_its_zone_says(day: str, hours: int) -> None:
    window = Calendar("day", "Europe/Berlin")
    begin = at(f"{day}T00:00", "Europe/Berlin")
    inside = [window.counts(begin, begin + hour * HOUR) for hour in range(27)]
    assert inside.index(False) == hours


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    week, month = Calendar("week"), Calendar("month")
    sunday, monday = at("2026-11-29T12:00"), at("2026-11-30T12:00")
    assert week.place(sunday) + 1 == week.place(monday)
    assert week.named(week.place(monday)) == "the week of 2026-11-30"
    assert month.place(monday) + 1 == month.place(at("2026-12-01T00:00"))
    assert month.named(month.place(monday)) == "2026-11"


def test_what_falls_out_of_a_sliding_window_falls_out_after_exactly_its_length() -> None:
    window = Sliding(DAY)
    assert window.counts(0, DAY - 1)
    assert not window.counts(0, DAY)


def test_a_burst_around_a_reset_fits_two_windows_and_no_sliding_one() -> None:
    """60 before midnight and 60 after it: a cap of 100 a day holds, one of 100 in any 24 hours does not."""
    midnight = at("2026-11-29T00:00")
    days, sliding = Meter(Calendar("day")), Meter(Sliding(DAY))
    for meter in (days, sliding):
        meter.add(midnight - HOUR, 60)
        meter.add(midnight + HOUR, 60)
    assert days.over(100) is None
    assert sliding.over(100) == Over(1, (midnight + HOUR, 120), (midnight + HOUR, 120))
    assert sliding.window.named(midnight + HOUR) == "up to 2026-11-29T01:00:00Z"


def test_a_moment_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(OverflowError):
        Meter(Calendar("day", "Europe/Berlin")).add(10**30, 1)


@pytest.mark.parametrize(
    "make", [lambda: Every(0), lambda: Sliding(0), lambda: Buckets(1, 0), lambda: Calendar("hour")]
)
def test_a_window_without_a_length_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"length|calendar"):
        make()  # type: ignore[operator]


def test_moments_are_written_in_utc() -> None:
    assert written(at("2026-11-28T01:02:03") + 4 * 10**6) == "2026-11-28T01:02:03.004Z"
    assert written(10**30) == "1e+21 s"
    assert datetime(1970, 1, 1, tzinfo=UTC).timestamp() == 0


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("", Whole()),
        ("month", Calendar("month")),
        ("every 6h", Every(6 * HOUR)),
        ("every  6 h", Every(6 * HOUR)),
        ("sliding 2 d", Sliding(2 * DAY)),
        ("hourly", None),
        ("every 6 weeks", None),
        ("Day", None),
    ],
)
def test_a_window_is_written_in_words(text: str, window: Window | None) -> None:
    assert in_words(text) == window


def test_a_sliding_window_moves_in_steps_that_divide_it() -> None:
    assert in_steps(Sliding(DAY), 24) == Buckets(HOUR, 24)
    assert (in_steps(Sliding(DAY), 7), in_steps(Sliding(DAY), 0), in_steps(Every(DAY), 24)) == (None, None, None)
    with pytest.raises(ValueError, match="length"):
        in_words("every 0 s")
