"""A slice answers for its true bills with what it has kept of its grant: at a bill, and wherever the grant shrinks."""

from __future__ import annotations

import pytest

from capsound.accounts import breaches
from capsound.disciplines import DISCIPLINES
from capsound.events import (
    Bill,
    Close,
    Delegate,
    Event,
    Forfeit,
    Merge,
    Observe,
    Open,
    Record,
    Release,
    Reserve,
    Send,
    Settle,
)
from capsound.explorer import Scope, explore
from capsound.loading import parse_scenario
from capsound.machine import compile_scenario
from capsound.monitor import Finding, Monitor, fold
from capsound.monitor_fast import FastMonitor
from capsound.properties import Property
from capsound.schedule import run_schedule
from capsound.verdict import Verdict
from capsound_proofs.solve import solve

OPEN: list[Event] = [Open("root", 12), Delegate("root", "s", 8)]


def billed(account: str, hold: str, amount: int, bill: int) -> list[Event]:
    return [Reserve(account, hold, amount), Send(hold, f"call of {hold}"), Bill(f"call of {hold}", bill)]


def slice_overshoots(events: list[Event]) -> list[Finding]:
    """Return what both monitors find above a slice, event by event the same."""
    slow, fast = Monitor(), FastMonitor()
    found: list[Finding] = []
    for event in events:
        seen = slow.feed(event)
        assert fast.feed(event) == seen
        found += [finding for finding in seen if finding.anomaly == "slice-overshoot"]
    assert (slow.report().verdicts[Property.SLICE] is Verdict.VIOLATED) is bool(found)
    return found


SHORT: dict[str, tuple[list[Event], list[tuple[str, int, int]]]] = {
    "close: the bill is above what was forfeited": (
        [*OPEN, *billed("s", "h", 2, 3), Forfeit("h"), Close("s")],
        [("s", 3, 2)],
    ),
    "close: the ledger was told too little": (
        [*OPEN, *billed("s", "h", 5, 5), Settle("h", 1), Close("s")],
        [("s", 5, 1)],
    ),
    "close: the hold was released after its call was billed": (
        [*OPEN, *billed("s", "h", 5, 5), Release("h"), Close("s")],
        [("s", 5, 0)],
    ),
    "close: what was billed below a slice that is closed": (
        [*OPEN, Delegate("s", "t", 4), *billed("t", "h", 3, 3), Settle("h", 0), Close("t"), Close("s")],
        [("t", 3, 0), ("s", 3, 0)],
    ),
    "close: only the slice below has too little left": (
        [*OPEN, Delegate("s", "t", 4), *billed("t", "h", 3, 3), Settle("h", 2), Close("t"), Reserve("s", "k", 6)],
        [("t", 3, 2)],
    ),
    "merge: into the parent": (
        [*OPEN, *billed("s", "h", 2, 3), Forfeit("h"), Merge("root", "s")],
        [("s", 3, 2)],
    ),
    "merge: up to a common ancestor, and down": (
        [
            *OPEN,
            Delegate("s", "t", 4),
            Delegate("root", "u", 1),
            *billed("t", "h", 3, 3),
            Settle("h", 0),
            Reserve("s", "k", 4),
            Merge("u", "t"),
        ],
        [("t", 3, 0)],
    ),
    "merge: every slice on the way up": (
        [
            *OPEN,
            Delegate("s", "t", 8),
            Delegate("root", "u", 1),
            *billed("t", "h", 3, 3),
            Settle("h", 0),
            Merge("u", "t"),
        ],
        [("t", 3, 0), ("s", 3, 0)],
    ),
    "merge: into another root": (
        [*OPEN, Open("other", 1), *billed("s", "h", 3, 3), Settle("h", 0), Merge("other", "s")],
        [("s", 3, 0)],
    ),
    "a late bill: after the slice was closed": (
        [*OPEN, Reserve("s", "h", 2), Send("h", "c"), Forfeit("h"), Close("s"), Bill("c", 3)],
        [("s", 3, 2)],
    ),
    "a slice that says itself that it gave back what is still out": (
        [
            *OPEN,
            Delegate("s", "t", 8),
            *billed("t", "h", 5, 5),
            Settle("h", 5),
            Close("s"),
            Observe("s", 0, 0, returned=8),
            Observe("s", 0, 0, returned=8),
        ],
        [("s", 5, 0)],
    ),
    "a bill after such a slice": (
        [*OPEN, Delegate("s", "t", 8), Close("s"), Observe("s", 0, 0, returned=8), *billed("t", "h", 5, 5)],
        [("s", 5, 0)],
    ),
}


@pytest.mark.parametrize("name", SHORT)
def test_what_is_left_of_a_grant_is_less_than_what_was_billed(name: str) -> None:
    events, expected = SHORT[name]
    found = slice_overshoots(events)
    numbers = [f.numbers for f in found]
    assert [(n["account"], n["billed"], n["granted"]) for n in numbers] == expected
    assert [n["over"] for n in numbers] == [was_billed - left for _, was_billed, left in expected]
    assert {f.rule for f in found} == {"R11"}


ENOUGH: dict[str, list[Event]] = {
    "settled at its bill": [*OPEN, *billed("s", "h", 5, 3), Settle("h", 3), Close("s")],
    "forfeited in full": [*OPEN, *billed("s", "h", 5, 5), Forfeit("h"), Close("s")],
    "in debt, and told of it at the bill already": [*OPEN, Reserve("s", "h", 8), Forfeit("h"), Close("s")],
    "a hold is still open": [*OPEN, *billed("s", "h", 5, 5), Close("s")],
    "nothing was billed": [*OPEN, Reserve("s", "h", 5), Release("h"), Close("s")],
    "closed twice": [*OPEN, *billed("s", "h", 5, 3), Settle("h", 3), Close("s"), Close("s")],
    "merged with itself": [*OPEN, *billed("s", "h", 5, 3), Settle("h", 0), Merge("s", "s")],
    "merged into a slice of its own": [
        *OPEN,
        Delegate("s", "t", 1),
        *billed("s", "h", 5, 3),
        Settle("h", 0),
        Merge("t", "s"),
    ],
    "recorded beside the bills": [*OPEN, *billed("s", "h", 5, 3), Settle("h", 3), Record("s", 9), Close("s")],
    "a root": [Open("root", 5), *billed("root", "h", 5, 3), Settle("h", 0), Close("root")],
    "a root whose money moves away": [
        *[Open("root", 5), Open("other", 1), *billed("root", "h", 5, 3), Settle("h", 0), Merge("other", "root")]
    ],
    "it says what it gave back": [
        *[*OPEN, *billed("s", "h", 5, 3), Settle("h", 3), Close("s"), Observe("s", 3, 0, returned=5)]
    ],
}


@pytest.mark.parametrize("name", ENOUGH)
def test_a_slice_that_keeps_enough_is_not_accused(name: str) -> None:
    assert slice_overshoots(ENOUGH[name]) == []


def test_the_words_name_what_was_given_back_and_what_was_kept() -> None:
    events, _ = SHORT["close: the bill is above what was forfeited"]
    (found,) = slice_overshoots(events)
    assert found.sentence == "the true bills below s reach 3: 1 more than the 2 that it kept when it gave 6 back"


def test_a_ledger_may_close_what_it_cannot_know_to_be_short() -> None:
    """The true bill of a forfeited call is not known to the ledger: to close its slice is no fault of the ledger."""
    state = fold([*OPEN, *billed("s", "h", 2, 3), Forfeit("h")]).state
    assert breaches(state, Close("s")) == ()


# ------------------------------------------------------------------------------------- solver and monitor agree

DESIGNS = {
    "a report below the bill": """
        cap = 12
        discipline = "split-and-return"
        [[agents]]
        slice = 11
        [[calls]]
        estimate = 2
        bill = 2
        [assume]
        A7 = false
        """,
    "a copied handle that is closed": """
        cap = 20
        discipline = "copied-handles"
        [[agents]]
        program = ["delegate root 20 -> mine", "call mine -> rest", "close mine"]
        [[calls]]
        estimate = 5
        bill = 5
        """,
    "a copy that is used after the slice was closed": """
        cap = 5
        discipline = "copied-handles"
        [[slices]]
        name = "s"
        grant = 4
        [[agents]]
        program = ["call s -> rest"]
        [[calls]]
        estimate = 2
        bill = 1
        """,
    "a cancelled call that costs more than its hold": """
        cap = 12
        discipline = "split-and-return"
        [[agents]]
        slice = 8
        [[calls]]
        estimate = 2
        bill = 3
        [assume]
        A1 = false
        [faults]
        cancel = 1
        """,
}


@pytest.mark.parametrize("name", DESIGNS)
def test_the_solver_and_the_monitor_agree_on_a_slice(name: str) -> None:
    result = solve(parse_scenario(DESIGNS[name], known_disciplines=DISCIPLINES)).result(Property.SLICE)
    assert result.verdict is Verdict.VIOLATED
    assert result.report is not None
    assert "slice-overshoot" in result.report.anomalies()


IN_DEBT = """
    cap = 3
    discipline = "{discipline}"
    [[agents]]
    program = ["call root", "call root -> rest", "call rest"]
    [[calls]]
    estimate = 1
    bill = 4
    [assume]
    A1 = false
    """


@pytest.mark.parametrize("discipline", ["split-and-return", "copied-handles"])
def test_a_debt_is_not_moved_with_a_handle(discipline: str) -> None:
    """A handle of what is left of a debt has nothing: no slice is granted less than that, or broken by it."""
    machine = compile_scenario(parse_scenario(IN_DEBT.format(discipline=discipline), known_disciplines=DISCIPLINES))
    explored = explore(machine, [Property.SLICE, Property.CAP], Scope(amounts=4, states=10_000))
    assert explored.complete
    assert set(explored.found) == {Property.CAP}
    events = run_schedule(machine, explored.found[Property.CAP]).events
    assert fold(events).verdicts[Property.SLICE] is not Verdict.VIOLATED
