"""The monitor of windows: it agrees with the definition of a window, and with the flat monitor where nothing leaves one."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo import animal

from capsound.events import Bill, Delegate, Event, Forfeit, Observe, Open, Refuse, Reserve, Send, Settle
from capsound.monitor import Monitor
from capsound.windowed import WindowMonitor
from capsound.windows import HOUR, MINUTE, SECOND, Buckets, Calendar, Every, Sliding, Whole, Window, spent
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import CONCURRENT, DELEGATED, FAULTY, OVERRUNS, Profile

Timed = tuple[int, Event]

windows = st.one_of(
    st.just(Whole()),
    st.builds(Every, st.integers(2, 9), st.integers(-5, 5)),
    st.builds(Sliding, st.integers(2, 9)),
    st.builds(Buckets, st.integers(1, 5), st.integers(1, 4), st.integers(-5, 5)),
)


def heard(window: Window, events: Iterable[Timed], *, anchored: bool = False) -> WindowMonitor:
    monitor = WindowMonitor(window=window, anchored=anchored)
    for at, event in events:
        monitor.passes(at)
        monitor.feed(event)
    return monitor


def names(monitor: WindowMonitor) -> list[str]:
    return [finding.anomaly for finding in monitor.report().findings]


# ------------------------------------------------------------------------------------------- the definition


@given(
    windows, st.integers(0, 6), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), max_size=12)
)
def test_a_cap_is_exceeded_where_the_bills_of_a_window_say_so(
    window: Window, cap: int, calls: list[tuple[int, int, bool]]
) -> None:
    """Calls of a ledger that admits everything, some settled later than they are billed."""
    monitor = WindowMonitor(window=window)
    monitor.feed(Open("a", cap))
    bills: list[tuple[int, int]] = []
    open_: list[tuple[str, int]] = []
    now = 0
    for number, (passing, bill, late) in enumerate(calls):
        now += passing
        monitor.passes(now)
        if not late:
            for name, cost in open_:
                monitor.feed(Settle(name, cost))
            open_.clear()
        monitor.feed(Reserve("a", f"h{number}", bill))
        monitor.feed(Send(f"h{number}", f"c{number}"))
        found = monitor.feed(Bill(f"c{number}", bill))
        bills.append((now, bill))
        open_.append((f"h{number}", bill))
        over = bill > 0 and spent(window, bills, now) > cap
        assert bool({"overshoot", "window-leak"} & {f.anomaly for f in found}) is over
        if over:
            assert found[-1].numbers["billed"] == spent(window, bills, now)


@pytest.mark.parametrize(
    "name", ["check_then_act", "overrun_into_debt", "cancel_after_send_refunds", "use_after_close"]
)
@pytest.mark.parametrize("profile", [CONCURRENT, DELEGATED, FAULTY, OVERRUNS], ids=lambda p: p.name)
@pytest.mark.parametrize("window", [Whole(), Sliding(HOUR)], ids=["whole", "sliding"])
def test_where_no_time_passes_it_says_what_the_flat_monitor_says(name: str, profile: Profile, window: Window) -> None:
    driver = Driver(animal(name).Target, profile)
    for seed in range(6):
        run = Lockstep(animal(name).Target())
        data = driver.bytes_of(seed)
        run.do(driver.opening(data))
        for step in driver.decoded(run, data[1:]):
            run.do(step)
        run.finish()
        flat, timed = Monitor(), heard(window, ((0, event) for event in run.events))
        for event in run.events:
            flat.feed(event)
        one, two = flat.report(), timed.report()
        assert [(f.anomaly, f.step, f.facts) for f in two.findings] == [
            (f.anomaly, f.step, f.facts) for f in one.findings
        ]
        assert (two.verdicts, two.refuted, two.exercise) == (one.verdicts, one.refuted, one.exercise)
        assert (two.overshoot, two.deficits, timed.ended) == (one.overshoot, one.deficits, 0)


@given(st.integers(0, 10_000))
def test_a_sound_ledger_is_found_sound_in_any_window(seed: int) -> None:
    """One that admits what fits beside its holds and beside what was settled in the window, whenever it was billed."""
    chance = random.Random(seed)
    window = chance.choice([Every(6), Sliding(6), Buckets(2, 3), Whole()])
    cap, now = chance.randint(1, 6), 0
    monitor = WindowMonitor(window=window)
    monitor.feed(Open("a", cap))
    holds: dict[str, tuple[int, int]] = {}
    costs: list[tuple[int, int]] = []
    for number in range(24):
        now += chance.choice((0, 0, 1, 2, 5, 6, 7))
        monitor.passes(now)
        used = spent(window, costs, now) + sum(amount for amount, _ in holds.values())
        monitor.feed(Observe("a", spent(window, costs, now), cap - used, used - spent(window, costs, now)))
        amount = chance.randint(0, 4)
        if chance.random() < 0.5:
            if amount <= cap - used:
                monitor.feed(Reserve("a", f"h{number}", amount))
                monitor.feed(Send(f"h{number}", f"c{number}"))
                holds[f"h{number}"] = amount, 0
            else:
                monitor.feed(Refuse("a", amount))
        elif holds:
            name = chance.choice(sorted(holds))
            amount, billed = holds[name]
            if chance.random() < 0.5:
                more = chance.randint(0, amount - billed)
                monitor.feed(Bill(name.replace("h", "c"), more))
                holds[name] = amount, billed + more
            else:
                del holds[name]
                lost = chance.random() < 0.3
                monitor.feed(Forfeit(name) if lost else Settle(name, billed))
                costs.append((now, amount if lost else billed))
    assert names(monitor) == []


# ------------------------------------------------------------------------------------------------ by hand


def held_across(window: Window, *, second: int = 1) -> list[Timed]:
    """A call of 1 that is in flight for 6 units of time, and another of 1 that is admitted then, under a cap of 1."""
    return [
        (0, Open("a", 1)),
        (0, Reserve("a", "h", 1)),
        (0, Send("h", "c")),
        (6, Reserve("a", "i", second)),
        (6, Send("i", "d")),
        (6, Bill("c", 1)),
        (6, Bill("d", second)),
    ]


def test_a_leak_is_an_overshoot_that_holds_from_before_explain() -> None:
    found = heard(Every(6), held_across(Every(6))).report().findings
    assert [f.anomaly for f in found] == ["stale-admit", "window-leak"]
    told = "a was billed 2 of a cap of 1: 1 over; 1 of it under holds from before the window"
    assert found[1].sentence.startswith(told)
    assert names(heard(Sliding(6), held_across(Sliding(6)))) == ["stale-admit", "overshoot"]  # nothing is reset there
    assert names(heard(Every(7), held_across(Every(7)))) == ["stale-admit", "overshoot"]  # it is the same window


def test_a_bill_counts_where_it_came_however_late_it_is_settled() -> None:
    events: list[Timed] = [
        (5, Open("a", 1)),
        (5, Reserve("a", "h", 1)),
        (5, Send("h", "c")),
        (5, Bill("c", 1)),
        (6, Settle("h", 1)),
        (6, Reserve("a", "i", 1)),
    ]
    assert names(heard(Every(6), events)) == []
    assert names(heard(Every(6), [*events[:-1], (6, Refuse("a", 1))])) == []  # whoever counts from the settlement on
    assert names(heard(Every(6), [*events[:-1], (12, Refuse("a", 1))])) == ["false-refusal"]
    assert names(heard(Sliding(6), [*events[:-1], (10, Reserve("a", "i", 1))])) == ["over-admit", "no-stop"]
    assert names(heard(Sliding(6), [*events[:-1], (11, Reserve("a", "i", 1))])) == []


@pytest.mark.parametrize(("says", "found"), [(0, []), (1, []), (2, ["ledger-drift"])])
def test_what_a_ledger_says_may_count_from_the_bill_or_from_the_settlement(says: int, found: list[str]) -> None:
    events: list[Timed] = [
        (5, Open("a", 3)),
        (5, Reserve("a", "h", 1)),
        (5, Send("h", "c")),
        (5, Bill("c", 1)),
        (6, Settle("h", 1)),
        (6, Observe("a", says, 3 - says, 0)),
    ]
    assert names(heard(Every(6), events)) == found


def test_holds_that_aged_are_named_where_they_were_kept_before() -> None:
    admitted = [(0, Open("a", 1)), (0, Reserve("a", "h", 1)), (0, Send("h", "c"))]
    kept = (0, Observe("a", 0, 0, 1))
    gone = (9, Observe("a", 0, 1, 0))
    again = (9, Reserve("a", "i", 1))
    assert names(heard(Whole(), [*admitted, kept, gone, again])) == ["expired-hold"]
    assert names(heard(Whole(), [*admitted, (0, Observe("a", 0, 1, 0)), gone, again])) == ["stale-admit"]
    assert names(heard(Whole(), [*admitted, kept, again])) == ["stale-admit"]  # it says that it keeps it


def test_equal_periods_may_begin_with_the_first_root() -> None:
    events: list[Timed] = [(5, Open("a", 1))]
    for number, at in enumerate((5, 10)):
        events += [(at, Reserve("a", f"h{number}", 1)), (at, Send(f"h{number}", f"c{number}"))]
        events += [(at, Bill(f"c{number}", 1)), (at, Settle(f"h{number}", 1))]
    assert names(heard(Every(6), events)) == []
    assert "overshoot" in names(heard(Every(6), events, anchored=True))


def test_time_does_not_go_back_and_no_slice_crosses_the_end_of_a_window() -> None:
    monitor = heard(Every(6), [(3, Open("a", 1)), (3, Delegate("a", "b", 1))])
    monitor.passes(5)
    with pytest.raises(ValueError, match="slices"):
        monitor.passes(6)
    with pytest.raises(ValueError, match="forwards"):
        heard(Whole(), [(3, Open("a", 1))]).passes(2)


def test_a_finding_says_in_which_window_it_was() -> None:
    start = 19_781 * 24 * HOUR  # 28 February 2024
    events = [(start + 23 * HOUR, Open("a", 0)), (start + 25 * HOUR + MINUTE, Reserve("a", "h", 1))]
    said = {
        Calendar("day"): "(window: 2024-02-29)",
        Every(HOUR): "(window: from 2024-02-29T01:00:00Z)",
        Sliding(SECOND): "(window: up to 2024-02-29T01:01:00Z)",
    }
    for window, words in said.items():
        assert heard(window, events).report().findings[0].sentence.endswith(words)
