"""Counters whose agents write back late: what each of them sees, how far they overshoot, and what a crash loses."""

from __future__ import annotations

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.explorer import explore
from capsound.loading import parse_scenario
from capsound.machine import Machine, compile_scenario
from capsound.properties import Property
from capsound_proofs.solve import solve

BLOCKS = 'blocks = [["check-local", "keep", "flush"], ["send"], ["correct", "flush"]]\nbefore-send = ["drop"]\n'
NAIVE = 'blocks = [["check-local"], ["send"], ["note", "flush"]]\n'


def machine(count: int, calls: int, lag: int, blocks: str = BLOCKS, cap: int = 2, more: str = "") -> Machine:
    text = (
        f"cap = {cap}\n[discipline]\nlag = {lag}\n{blocks}[[agents]]\ncount = {count}\ncalls = {calls}\n"
        f"[[calls]]\nestimate = 1\nbill = 1\n{more}"
    )
    return compile_scenario(parse_scenario(text, known_disciplines=DISCIPLINES))


@pytest.mark.parametrize("lag", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_they_overshoot_by_the_lag_of_all_but_one_and_no_more(count: int, lag: int) -> None:
    found = explore(machine(count, 4 - count, lag), [Property.CAP])
    assert found.complete
    # Each makes few calls here: what is not kept cannot be overshot by.
    calls = 4 - count
    most = min((count - 1) * lag, count * calls - 2)
    assert found.worst_overshoot <= max(most, 0)
    if lag <= calls:
        assert found.worst_overshoot == max(0, most)


def test_what_is_only_noted_afterwards_overshoots_by_calls_in_flight_as_well() -> None:
    assert explore(machine(2, 2, 1, NAIVE), [Property.CAP]).worst_overshoot == 2
    assert explore(machine(2, 2, 1), [Property.CAP]).worst_overshoot == 1


def test_a_crash_loses_what_was_kept() -> None:
    again = "[[agents]]\nname = 'again'\nafter = ['agent']\ncalls = 2\n[faults]\ncrash = 1\n"
    for lag, over in ((0, 0), (1, 1)):
        assert explore(machine(1, 1, lag, more=again), [Property.CAP]).worst_overshoot == over


def test_nothing_is_proved_of_what_agents_keep_that_is_not_so() -> None:
    """The proof sums up ledgers and calls, and forgets what each agent keeps: it must not take it for nothing."""
    outcome = solve(machine(2, 1, 1, cap=1).scenario)
    assert outcome.result(Property.CAP).trace is not None
    assert outcome.worst is not None
    assert outcome.worst.least == 1
