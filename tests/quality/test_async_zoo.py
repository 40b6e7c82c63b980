"""The zoo among agents of asyncio: faults by their names and guarantees, and nobody else accused.

Agents make calls and nothing else; they copy no handles, stream nothing and settle once. Faults that need more are
for the other drivers, and are not found here.
"""

from __future__ import annotations

import pytest
from reference_adapter import CallAdapter, JournalAdapter, ReferenceAdapter
from zoo import NAMES, animal, faults, twins

from capsound.adapter import Adapter, Gate
from capsound.verdict import Verdict
from capsound_checker.schedules.asynchronous import Explored, explore, replay

CALLS = [name for name in faults() if animal(name).Target.gate is Gate.CALL]
ALSO = (
    "check_then_act",
    "close_forgets_rest",
    "close_returns_grant_not_rest",
    "commit_above_hold_drops_excess",
    "false_refusal_strict_less",
    "float_drift",
    "never_refuses",
    "p99_reservation",
    "record_only",
    "refuse_when_total_reached_only",
    "refused_spend_destroys_balance",
    "settle_refunds_into_parent",
    "slice_not_taken_from_parent",
    "slice_rolled_up_at_close",
    "zero_left_means_no_limit",
)
"""Faults of other gates that calls alone bring to light, with the guarantee that the zoo says they keep."""


def looked(adapter: type[Adapter], schedules: int = 20_000, seed: int = 0) -> Explored:
    return explore(adapter, seconds=600, schedules=schedules, seed=seed)


def test_faults_of_the_gate_call_are_many() -> None:
    assert len(CALLS) >= 9


@pytest.mark.parametrize("name", [*CALLS, *ALSO])
def test_fault_is_found_and_named(name: str) -> None:
    fault, said = animal(name), looked(animal(name).Target)
    assert fault.ANOMALY in {found.anomaly for found in said.findings}
    assert said.strongest.label == fault.KEEPS
    assert said.verdict is Verdict.VIOLATED
    for found in said.findings:
        assert found.fifo, "everything in the zoo can happen on the standard loop"
        again = replay(fault.Target, found.program, found.choices, fifo=found.fifo)
        assert again.story() == found.story
        assert len(found.program.agents) <= 3
    assert said.first is not None
    assert len(said.first.program.agents) <= 2


@pytest.mark.parametrize("name", twins())
def test_twin_is_not_accused_and_is_covered(name: str) -> None:
    said = looked(animal(name).Target)
    assert [found.story for found in said.findings] == []
    assert (said.complete, said.verdict) == (True, Verdict.SOUND)


@pytest.mark.parametrize("adapter", [CallAdapter, ReferenceAdapter, JournalAdapter])
def test_reference_is_not_accused_and_is_covered(adapter: type[Adapter]) -> None:
    said = looked(adapter)
    assert [found.story for found in said.findings] == []
    assert (said.complete, said.verdict) == (True, Verdict.SOUND)
    assert all(scope.merged for scope in said.scopes)


@pytest.mark.parametrize("name", [name for name in faults() if name not in CALLS and name not in ALSO])
def test_no_fault_is_said_to_keep_less_than_it_does(name: str) -> None:
    """Where calls alone do not bring a fault to light, nothing else is made up instead of it."""
    said = looked(animal(name).Target)
    order = ["none", "stops", "sequential", "concurrent", "delegated", "fault-tolerant", "overrun-bounded"]
    assert order.index(said.strongest.label) >= order.index(animal(name).KEEPS)


def test_the_whole_zoo_is_looked_at() -> None:
    assert len(NAMES) >= 60
