"""The monitor of ceilings: each is a flat budget with all that counts in it, and a refusal is right if one has no room."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.errors import BadTrace
from capsound.events import Bill, Delegate, Event, Observe, Open, Refuse, Reserve, Send, Settle
from capsound.monitor import Monitor
from capsound.rolled_up import CeilingMonitor
from capsound.windowed import WindowMonitor
from capsound.windows import Every


def opened(*caps: int) -> CeilingMonitor:
    """Return a monitor of ceilings c0, c1, ..., each under the one before."""
    monitor = CeilingMonitor()
    for number, cap in enumerate(caps):
        if number:
            monitor.under(f"c{number}", f"c{number - 1}")
        monitor.feed(Open(f"c{number}", cap))
    return monitor


def names(monitor: CeilingMonitor) -> list[str]:
    return [finding.anomaly for finding in monitor.report().findings]


@given(st.integers(0, 10_000))
def test_each_ceiling_is_judged_as_the_flat_budget_that_it_is(seed: int) -> None:
    """By the definition: the flat monitor on the part of the trace that counts in the ceiling."""
    chance = random.Random(seed)
    parents: dict[str, str | None] = {"c0": None}
    monitor = CeilingMonitor()
    caps = {"c0": chance.randint(1, 5)}
    monitor.feed(Open("c0", caps["c0"]))
    for number in range(1, 4):
        name, parent = f"c{number}", chance.choice(sorted(parents))
        monitor.under(name, parent)
        parents[name], caps[name] = parent, chance.randint(1, 5)
        monitor.feed(Open(name, caps[name]))

    def counts_in(account: str, ceiling: str) -> bool:
        return account == ceiling or (parents[account] is not None and counts_in(str(parents[account]), ceiling))

    flat = {name: Monitor() for name in parents}
    for name, cap in caps.items():
        flat[name].feed(Open(name, cap))
    expected, got = [], []
    for number in range(12):
        account, amount = chance.choice(sorted(parents)), chance.randint(0, 3)
        hold, call = f"h{number}", f"k{number}"
        events: list[Event] = [Reserve(account, hold, amount), Send(hold, call), Bill(call, chance.randint(0, 4))]
        if chance.random() < 0.5:
            events.append(Settle(hold, events[2].amount))  # type: ignore[union-attr]
        for event in events:
            got += [(f.anomaly, f.facts) for f in monitor.feed(event)]
            for name in sorted(flat):
                if counts_in(account, name):
                    mine = Reserve(name, hold, amount) if isinstance(event, Reserve) else event
                    expected += [(f.anomaly, f.facts) for f in flat[name].feed(mine)]
    assert sorted(got) == sorted(expected)
    assert monitor.report().overshoot == {name: one.report().overshoot[name] for name, one in flat.items()}


def test_a_refusal_is_right_if_one_ceiling_has_no_room() -> None:
    monitor = opened(1, 3)
    assert monitor.feed(Refuse("c1", 2)) == ()  # the upper one has no room
    assert [f.anomaly for f in monitor.feed(Refuse("c1", 1))] == ["false-refusal"]
    assert [f.anomaly for f in monitor.feed(Reserve("c1", "h", 2))] == ["over-admit"]


def test_what_a_refused_call_still_holds_is_named_where_it_is() -> None:
    monitor = opened(0, 2)
    monitor.feed(Refuse("c1", 1))
    assert monitor.feed(Observe("c0", 0, 0, 0)) == ()
    found = monitor.feed(Observe("c1", 0, 1, 1))
    assert [(f.anomaly, f.numbers["amount"]) for f in found] == [("partial-hold", 1)]
    assert monitor.feed(Observe("c1", 0, 1, 1)) == ()  # once
    assert names(opened(0, 2)) == []
    blind = opened(0, 2)
    blind.feed(Refuse("c1", 1))
    assert [f.anomaly for f in blind.feed(Observe("c1", 0, 1))] == ["partial-hold"]


def test_a_hold_that_was_billed_before_the_window_is_no_partial_one() -> None:
    monitor = CeilingMonitor(lambda: WindowMonitor(window=Every(6)))
    for event in (Open("c0", 2), Reserve("c0", "h", 1), Send("h", "k"), Bill("k", 1)):
        monitor.feed(event)
    monitor.passes(6)
    monitor.feed(Refuse("c0", 3))
    assert monitor.feed(Observe("c0", 0, 1, 1)) == ()
    monitor.feed(Refuse("c0", 3))
    assert [f.anomaly for f in monitor.feed(Observe("c0", 0, 0, 2))] == ["partial-hold"]


def test_every_ceiling_has_the_window() -> None:
    monitor = CeilingMonitor(lambda: WindowMonitor(window=Every(6)))
    monitor.passes(3)
    monitor.feed(Open("c0", 1))
    monitor.under("c1", "c0")
    monitor.feed(Open("c1", 5))
    for at in (5, 6, 7):
        monitor.passes(at)
        monitor.feed(Reserve("c1", f"h{at}", 1))
        monitor.feed(Send(f"h{at}", f"k{at}"))
        monitor.feed(Bill(f"k{at}", 1))
        monitor.feed(Settle(f"h{at}", 1))
    assert [f.anomaly for f in monitor.report().findings] == ["over-admit", "no-stop", "overshoot"]
    assert (monitor.ended, monitor.shared) == (1, 3)


def test_what_is_no_ceiling_is_refused() -> None:
    with pytest.raises(BadTrace, match="cannot be a ceiling"):
        opened(1).under("c1", "nowhere")
    with pytest.raises(BadTrace, match="delegate"):
        opened(1).feed(Delegate("c0", "c1", 1))
    with pytest.raises(BadTrace, match="never opened"):
        opened(1).feed(Reserve("c7", "h", 1))
