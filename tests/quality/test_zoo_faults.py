"""Every fault of the zoo is found, by its name, with the guarantee that it keeps, by a short program.

"Short" is measured: the counterexample of the hunt is at most twice as long as the shortest that there is, which
a breadth-first search over all programs of a small scope finds on the same implementation.
"""

from __future__ import annotations

from statistics import median

import pytest
from zoo import animal, faults, judged, shorter

from capsound.anomalies import ANOMALIES
from capsound_checker.programs.lockstep import Lockstep


@pytest.mark.parametrize("name", faults())
def test_fault_is_found_and_named(name: str) -> None:
    fault, said = animal(name), judged(name)
    assert said.first is not None, "nothing was found"
    assert said.first.name == fault.ANOMALY
    assert said.strongest.label == fault.KEEPS
    for also in getattr(fault, "ALSO", ()):
        assert also in said.found


@pytest.mark.parametrize("name", faults())
def test_counterexample_is_short_and_repeats(name: str) -> None:
    first = judged(name).first
    assert first is not None
    assert shorter(name, (len(first.program) - 1) // 2) is None  # all programs of less than half the steps were tried
    again = Lockstep(animal(name).Target()).run(first.program)
    assert again.wrong()[0].anomaly == first.name


@pytest.mark.parametrize("name", faults())
def test_refutation_refutes_and_is_told(name: str) -> None:
    """What a fault does not keep is shown by a run of its own, which ends in these words."""
    said = judged(name)
    if said.refutation is None:
        assert animal(name).KEEPS == "overrun-bounded"
        return
    run = Lockstep(animal(name).Target()).run(said.refutation.program)
    assert run.report().refuted is said.refuted
    assert run.story().endswith(f"hence not {said.refuted.label}: at most {said.strongest.label}")


def test_median_counterexample_has_at_most_six_steps() -> None:
    lengths = [len(first.program) for name in faults() if (first := judged(name).first) is not None]
    assert len(lengths) == len(faults()) >= 30
    assert median(lengths) <= 6


def test_every_anomaly_of_the_catalogue_is_shown_by_some_fault() -> None:
    shown = {name for fault in faults() for name in judged(fault).found}
    assert set(ANOMALIES) - IN_TIME <= shown


IN_TIME = {"window-leak", "expired-hold", "partial-hold"}
"""Shown only where time passes, or by several ceilings over one call."""
