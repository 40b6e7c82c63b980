"""Ten faults that applications have, each found on the wire and called by its name; and ten twins without one.

An application is run as ``capsound wire`` runs it, in a process of its own. It needs nothing but Python.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from applications import kept, run_once, searched

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.wire import idle
from capsound_checker.wire.causes import ALL, cause_of
from capsound_checker.wire.running import Limits

APPLICATIONS = Path(__file__).parent / "wire"
LIMITS = Limits(patience=2.0)

pytestmark = pytest.mark.skipif(not idle.visible(), reason="there is no /proc to look at")


@dataclass(frozen=True)
class Fault:
    """One planted fault: where it is, and what has to be said of it."""

    file: str
    cap: int
    name: str
    refutes: Guarantee
    runs: int
    """How many runs the search may need, the shortening included."""
    kept: str
    """The guarantees that the twin keeps, as far as they can be tried on it."""


FAULTS = [
    Fault(
        "check_then_act", 500, "check-then-act", Guarantee.CONCURRENT, 4, "stops sequential concurrent fault-tolerant"
    ),
    Fault(
        "refund_on_cancel",
        700,
        "refund-on-cancel",
        Guarantee.FAULT_TOLERANT,
        4,
        "stops sequential concurrent fault-tolerant",
    ),
    Fault(
        "refund_on_timeout", 500, "refund-on-timeout", Guarantee.FAULT_TOLERANT, 12, "stops sequential fault-tolerant"
    ),
    Fault(
        "retry_under_one_hold",
        650,
        "retry-under-one-hold",
        Guarantee.FAULT_TOLERANT,
        6,
        "stops sequential fault-tolerant",
    ),
    Fault("usage_missing", 500, "usage-missing", Guarantee.FAULT_TOLERANT, 9, "stops sequential fault-tolerant"),
    Fault("stream_left", 500, "stream-left", Guarantee.FAULT_TOLERANT, 4, "stops sequential fault-tolerant"),
    Fault("cached_free", 1300, "cached-free", Guarantee.SEQUENTIAL, 10, "stops sequential fault-tolerant"),
    Fault(
        "counter_per_process",
        700,
        "counter-per-process",
        Guarantee.STOPS,
        4,
        "stops sequential concurrent fault-tolerant",
    ),
    Fault("limit_per_turn", 380, "limit-per-turn", Guarantee.SEQUENTIAL, 4, "stops sequential fault-tolerant"),
    Fault("slice_copied", 900, "slice-copied", Guarantee.STOPS, 4, "stops sequential fault-tolerant"),
]


def command(fault: Fault, way: str) -> tuple[str, ...]:
    return sys.executable, str(APPLICATIONS / f"{fault.file}.py"), way


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.file)
def test_a_planted_fault_is_found_by_name(fault: Fault) -> None:
    wired = searched(command(fault, "faulty"), f"{fault.cap}tokens", fault.runs, LIMITS)
    assert wired.verdict is Verdict.VIOLATED
    weakest = wired.searched.weakest
    assert weakest is fault.refutes
    judged = wired.searched.found[weakest]
    cause = cause_of(judged)
    assert cause is not None
    assert cause.name == fault.name
    assert judged.overshoot > 0
    assert wired.searched.confirmed[weakest]
    assert not wired.doubts


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.file)
def test_its_twin_is_accused_of_nothing(fault: Fault) -> None:
    """Every fault of the provider is tried on it, and it comes near its cap."""
    wired = searched(command(fault, "cured"), f"{fault.cap}tokens", 14, LIMITS)
    assert not wired.searched.found
    assert not wired.doubts
    assert kept(wired) == fault.kept.split()
    assert wired.verdict is (Verdict.SOUND if "concurrent" in fault.kept else Verdict.UNKNOWN)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.file)
def test_a_run_that_is_accused_of_nothing_has_no_name(fault: Fault) -> None:
    judged = run_once(command(fault, "cured"), f"{fault.cap}tokens", limits=LIMITS)
    assert judged.refuted is None
    assert cause_of(judged) is None


def test_every_application_here_is_used() -> None:
    files = {path.stem for path in APPLICATIONS.glob("*.py")} - {"plain", "small_gateway"}
    assert files == {fault.file for fault in FAULTS}
    assert {fault.name for fault in FAULTS} <= {cause.name for cause in ALL}
