"""Windows that slide: what leaves them and when, which ledgers forget too early, and the moments of a run."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.disciplines import KNOWN
from capsound.errors import BadDiscipline
from capsound.explorer import Scope, explore
from capsound.judged import judge
from capsound.machine import Machine, compile_scenario, initial, thaw, variable_names
from capsound.moments import Kept, moments, spoken
from capsound.properties import Property
from capsound.scenario import (
    BUCKET,
    FIRST,
    HELD,
    SETTLED,
    Agents,
    CallKind,
    Ceiling,
    Faults,
    Interval,
    Plain,
    Scenario,
    Window,
)
from capsound.schedule import parse_token, run_schedule
from capsound.verdict import Verdict
from capsound.windows import HOUR, MINUTE, SECOND

DAY = 24 * HOUR


def sliding(*, forgets: str = SETTLED, keeps: bool = True, buckets: int = 0) -> Window:
    return Window("sliding 24 h", keeps, None, slides=True, forgets=forgets, buckets=buckets)


def scenario(
    window: Window | None,
    discipline: str = "reserve-settle",
    bills: tuple[int, ...] = (4, 4),
    cap: int = 6,
    **more: object,
) -> Scenario:
    """One agent for each bill, with one call of that size each."""
    calls = tuple(
        CallKind(f"c{n}", Plain(Interval.exactly(bill), Interval.exactly(bill))) for n, bill in enumerate(bills)
    )
    agents = tuple(Agents(f"a{n}", 1, "root", f"c{n}") for n in range(len(bills)))
    return Scenario("s", Interval.exactly(cap), discipline, agents, calls, window=window, **more)  # type: ignore[arg-type]


def broken(machine: Machine, prop: Property) -> int | None:
    """Return after how many steps a property is broken first, None if it never is; the monitor sees it, too."""
    found = explore(machine, (prop,), Scope(states=20_000))
    assert found.complete or prop in found.found
    if prop not in found.found:
        return None
    trace = run_schedule(machine, found.found[prop])
    assert judge(machine, trace).verdicts[prop] is Verdict.VIOLATED
    return len(trace.steps)


# ---------------------------------------------------------------------------------------------- moments


@st.composite
def orders(draw: st.DrawFn) -> list[Kept]:
    """Runs in which entries come and leave, the oldest first."""
    live = draw(st.integers(0, 1))
    kept = [Kept(live)]
    for what in draw(st.lists(st.sampled_from(["comes", "leaves", "neither"]), max_size=14)):
        live += {"comes": 1, "leaves": -min(1, live), "neither": 0}[what]
        kept.append(Kept(live))
    return kept


@given(orders(), st.sampled_from([DAY, HOUR, MINUTE, SECOND]))
def test_every_order_in_which_the_oldest_leaves_first_has_moments(kept: list[Kept], length: int) -> None:
    """The theorem of Roberts: proper interval graphs are unit interval graphs."""
    found = moments(length, kept)
    assert len(found) == len(kept) - 1
    came = [0] * kept[0].live
    for at, (before, now) in zip(found, pairwise(kept), strict=True):
        if now.live < before.live:
            assert at == came.pop(0) + length
        elif now.live > before.live:
            came.append(at)
        assert all(at <= entry + length for entry in came)
        if now.live >= before.live:
            assert all(at < entry + length for entry in came)
    assert list(found) == sorted(found)


def test_a_bucket_leaves_less_than_a_bucket_before_its_costs_are_as_old_as_the_window() -> None:
    kept = [Kept(0), Kept(1), Kept(2, (1,)), Kept(2), Kept(1)]
    billed, settled, dropped, left = moments(8 * HOUR, kept, 2 * HOUR)
    assert 8 * HOUR - 2 * HOUR < dropped - settled <= 8 * HOUR
    assert left == billed + 8 * HOUR


def test_where_everything_leaves_by_the_bucket_what_came_in_one_bucket_leaves_at_once() -> None:
    found = moments(2 * HOUR, [Kept(0), Kept(1), Kept(2), Kept(1), Kept(0)], 2 * HOUR, leaves_by_bucket=True)
    assert found[2] == found[3]
    # Of one bucket, nothing comes between what leaves with it.
    apart = [Kept(0), Kept(1), Kept(2), Kept(1), Kept(2), Kept(1)]
    assert moments(2 * HOUR, apart, 2 * HOUR, leaves_by_bucket=True) == ()
    assert moments(2 * HOUR, apart, HOUR, leaves_by_bucket=True)


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (25 * HOUR, "25 h"),
        (90 * MINUTE, "1 h 30 min"),
        (5 * MINUTE, "5 min"),
        (3 * SECOND, "3 s"),
        (1, "0.000000001 s"),
    ],
)
def test_moments_are_told_as_people_say_them(span: int, said: str) -> None:
    assert spoken(span) == said


# ---------------------------------------------------------------------------------------------- ledgers


@pytest.mark.parametrize(
    ("window", "bills", "cap", "steps"),
    [
        (sliding(), (4, 4), 6, None),
        (sliding(forgets=HELD), (4, 4), 6, 6),
        (sliding(forgets=BUCKET), (4, 4), 6, 6),
        (sliding(forgets=FIRST), (4, 4), 6, None),  # one cost at a time is forgotten when it is old enough
        (sliding(forgets=FIRST), (1, 8, 9), 10, 10),
        (sliding(keeps=False), (4, 4), 6, 5),
        (sliding(buckets=24), (4, 4), 6, None),
    ],
)
def test_the_cap_of_any_window_is_kept_where_costs_leave_after_their_bills(
    window: Window, bills: tuple[int, ...], cap: int, steps: int | None
) -> None:
    assert broken(compile_scenario(scenario(window, bills=bills, cap=cap)), Property.CAP) == steps


@pytest.mark.parametrize(("forgets", "true"), [(SETTLED, True), (HELD, False), (FIRST, True), (BUCKET, False)])
def test_a_ledger_that_forgets_before_the_settlement_is_old_does_not_tell_the_truth(forgets: str, true: bool) -> None:
    machine = compile_scenario(scenario(sliding(forgets=forgets)))
    assert (broken(machine, Property.TRUTH) is None) == true


def test_what_has_left_the_window_counts_no_more_and_is_free_again() -> None:
    machine = compile_scenario(scenario(sliding()))
    trace = run_schedule(machine, parse_token("cs1:6/0.0.0.2.2.1.1"))
    assert trace.moments is not None
    states = [thaw(machine, step.values).ledgers[0] for step in trace.steps]
    assert [ledger.billed for ledger in states] == [0, 4, 4, 0, 0, 0, 4]
    assert [ledger.charged for ledger in states] == [0, 0, 4, 4, 0, 0, 0]
    assert [ledger.available for ledger in states] == [2, 2, 2, 2, 6, 2, 2]
    send, settle, left, forgotten = trace.moments[1:5]
    assert (left, forgotten) == (send + DAY, settle + DAY)


def test_a_call_may_be_in_flight_for_longer_than_the_window() -> None:
    machine = compile_scenario(scenario(sliding()))
    trace = run_schedule(machine, parse_token("cs1:6/0.0.2.0.2"))
    assert trace.moments is not None
    assert trace.moments[2] - trace.moments[1] == DAY
    assert judge(machine, trace).findings == ()


def test_what_is_already_spent_leaves_the_window_too() -> None:
    machine = compile_scenario(scenario(sliding(), spent=5))
    trace = run_schedule(machine, parse_token("cs1:6/2.0.0"))
    assert trace.moments is not None
    assert trace.moments[0] == DAY
    assert judge(machine, trace).findings == ()


def test_a_state_has_a_name_for_each_of_its_variables() -> None:
    for window in (sliding(), sliding(forgets=HELD), None):
        machine = compile_scenario(scenario(window, "reserve-settle", spent=1))
        config = initial(machine, 6)
        assert len(variable_names(machine)) == len(config.flat())
        assert thaw(machine, config.flat()).flat() == config.flat()
        assert bool(config.past) == (window is not None)


def test_ceilings_with_windows_of_one_length_share_the_passage_of_time() -> None:
    teams = Ceiling("team", "root", Interval.exactly(4), "money", sliding(forgets=HELD))
    whole = scenario(sliding(), ceilings=(teams,), cap=9)
    agents = tuple(Agents(a.name, 1, "team", a.call) for a in whole.agents)
    machine = compile_scenario(Scenario(**{**{f: getattr(whole, f) for f in whole.__slots__}, "agents": agents}))
    assert [process.name for process in machine.processes if process.clock] == ["time"]
    assert broken(machine, Property.CAP) == 6


def test_every_discipline_runs_or_says_why_not() -> None:
    refused = []
    for name, d in KNOWN.items():
        if d.streams:
            continue
        try:
            machine = compile_scenario(scenario(sliding(), name, faults=Faults(1, 1, 0)))
        except BadDiscipline as error:
            refused.append(error.message)
            continue
        explore(machine, (Property.CAP,), Scope(states=300))
    assert any("writes back what it read" in message for message in refused)
