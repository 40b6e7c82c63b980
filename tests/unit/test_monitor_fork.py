"""A monitor that is forked goes on by itself, and says what decides how it goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.events import Bill, Event, Observe, Open, Reserve, Send, Settle
from capsound.monitor import Monitor
from capsound.monitor_fast import FastMonitor

A, H, C = AccountId("a"), HoldId("h"), CallId("c")
BEGIN: tuple[Event, ...] = (Open(A, Amount(5)), Reserve(A, H, Amount(2)), Send(H, C), Observe(A, 0, 3, 2))
FURTHER: tuple[Event, ...] = (Bill(C, Amount(7)), Settle(H, Amount(7)), Observe(A, 2, 3, 0, forfeited=1))


def heard(*events: Event) -> Monitor:
    monitor = Monitor()
    for event in events:
        monitor.feed(event)
    return monitor


@pytest.mark.parametrize("after", range(len(FURTHER) + 1))
def test_a_fork_and_its_origin_do_not_hear_each_other(after: int) -> None:
    origin = heard(*BEGIN, *FURTHER[:after])
    before, known = origin.report(), origin.fingerprint()
    twin = origin.fork()
    for event in FURTHER[after:]:
        twin.feed(event)
    assert (origin.report(), origin.fingerprint()) == (before, known)
    assert twin.report() == heard(*BEGIN, *FURTHER).report()
    assert {"overshoot", "dropped-overrun"} <= set(twin.report().anomalies())


@pytest.mark.parametrize("event", FURTHER)
def test_what_matters_later_changes_the_fingerprint(event: Event) -> None:
    at = FURTHER.index(event)
    assert heard(*BEGIN, *FURTHER[:at]).fingerprint() != heard(*BEGIN, *FURTHER[: at + 1]).fingerprint()


@pytest.mark.parametrize("ask", [FastMonitor.fork, FastMonitor.fingerprint])
def test_a_monitor_that_changes_its_books_in_place_has_neither(ask: Callable[[FastMonitor], object]) -> None:
    with pytest.raises(NotImplementedError, match=r"use capsound\.monitor\.Monitor"):
        ask(FastMonitor())
