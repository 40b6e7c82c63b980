"""No sound twin of the zoo is accused of anything: a false alarm is a bug as bad as a miss."""

from __future__ import annotations

import pytest
from zoo import animal, faults, judged, twins

from capsound_checker.programs.exhaust import Bounds, shortest


@pytest.mark.parametrize("name", twins())
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.deep) for n in range(1, 6))])
def test_twin_is_not_accused(name: str, seed: int) -> None:
    said = judged(name, seed)
    assert said.found == {}
    assert said.strongest.label == animal(name).KEEPS
    assert said.operations > 1_000, "nothing was tried"


@pytest.mark.parametrize("name", twins())
def test_no_program_of_the_small_scope_accuses_the_twin(name: str) -> None:
    done = shortest(animal(name).Target, lambda run: bool(run.wrong()), Bounds(steps=4, roots=2))
    assert (done.program, done.complete) == (None, True)
    assert done.runs > 500


@pytest.mark.deep
@pytest.mark.parametrize("name", twins())
def test_no_program_of_a_larger_scope_accuses_the_twin(name: str) -> None:
    done = shortest(animal(name).Target, lambda run: bool(run.wrong()), Bounds(steps=5, roots=2, runs=2_000_000))
    assert (done.program, done.complete) == (None, True)


@pytest.mark.parametrize("name", twins())
def test_the_fault_that_the_twin_looks_like_is_in_the_zoo(name: str) -> None:
    """That each of the faults is found, ``test_zoo_faults`` shows: to hunt them here again would show no more."""
    assert animal(name).TWIN in faults()
