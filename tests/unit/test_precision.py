"""Workloads, and what is measured on them: of a sound budget, of wasteful ones, and of runs that are none of ours."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from reference_adapter import CallAdapter, ReferenceAdapter
from zoo import animal

from capsound.adapter import Adapter, Refused
from capsound.events import Event
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.precision import Precision, Workload, measured, perform, workloads


def events(adapter: type[Adapter], workload: Workload) -> list[Event]:
    run = Lockstep(adapter())
    perform(run, workload)
    run.drop()
    return run.events


def total(adapter: type[Adapter]) -> Precision:
    return sum((measured(w, events(adapter, w)) for w in workloads(0)), Precision())


def test_the_oracle_uses_what_the_best_choice_of_calls_uses() -> None:
    for number, workload in enumerate(workloads(7)):
        bills = [bill for _, bill in workload.calls[:8]]
        few = Workload(20 + number, tuple(workload.calls[:8]), 1)
        sums = (sum(chosen) for size in range(9) for chosen in itertools.combinations(bills, size))
        assert few.clairvoyant == max(s for s in sums if s <= few.cap)


@pytest.mark.parametrize("adapter", [ReferenceAdapter, CallAdapter])
def test_the_reference_uses_exactly_what_reserve_settle_uses(adapter: type[Adapter]) -> None:
    for workload in workloads(3):
        told = measured(workload, events(adapter, workload))
        assert told.used == told.reserve_settle == workload.reserve_settle <= workload.clairvoyant
        assert (told.falsely, told.stranded, told.calls) == (0, 0, len(workload.calls))


def test_who_refuses_everything_uses_nothing_and_strands_the_cap() -> None:
    class Useless(ReferenceAdapter):
        def reserve(self, scope: Any, amount: int) -> Any:
            raise Refused

    told = total(Useless)
    assert (told.used, told.refused, told.falsely) == (0, told.calls, told.calls)
    assert told.stranded == sum(w.cap for w in workloads(0))


def test_what_a_refused_call_destroys_is_stranded() -> None:
    told = total(animal("refused_spend_destroys_balance").Target)
    assert told.stranded > 0
    assert told.falsely > 0
    assert told.used < told.reserve_settle


def test_who_refuses_what_fits_exactly_strands_one_unit_a_time() -> None:
    assert total(animal("false_refusal_strict_less").Target).stranded == len(workloads(0))


def test_who_charges_the_estimate_for_good_uses_less() -> None:
    assert total(animal("charge_before_call").Target).used < total(ReferenceAdapter).used


def test_who_never_refuses_uses_more_than_there_is() -> None:
    told = total(animal("never_refuses").Target)
    assert told.used > told.clairvoyant
    assert told.refused == 0


def test_a_run_that_is_not_of_the_workload_says_nothing() -> None:
    first, second, *_ = workloads(0)
    assert measured(second, events(ReferenceAdapter, first)) == Precision()
    assert measured(first, events(ReferenceAdapter, first)[:9]) == Precision()
    assert measured(first, []) == Precision()


def test_workloads_depend_on_the_seed_alone() -> None:
    assert workloads(5) == workloads(5)
    assert workloads(5) != workloads(6)
