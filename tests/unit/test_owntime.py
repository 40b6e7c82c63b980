"""Time limits count the target's own time: what it waits for a turn on a busy machine is no hang."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from capsound_checker.programs import owntime
from capsound_checker.programs.owntime import Allowance, count_waits_of, forget
from capsound_checker.programs.watch import Hung, limit, patience

LINUX = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not tell the waits")


class Machine:
    """A clock and the waits of this process, both set by hand."""

    now = 100.0
    waited = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(owntime, "time", made)
    monkeypatch.setattr(owntime, "_read", lambda pid: made.waited)
    monkeypatch.setattr(owntime, "_last", [-1.0, 0.0])
    return made


@pytest.mark.parametrize("of", [None, 1])
def test_waits_are_given_back(of: int | None, machine: Machine) -> None:
    machine.waited = 7.0  # before: that does not matter
    own = Allowance(2.0, of)
    machine.now += 1.5
    assert own.left() == pytest.approx(0.5)
    machine.now += 1.0
    machine.waited += 0.75
    assert own.left() == pytest.approx(0.25)
    machine.now += 0.25
    assert own.left() == pytest.approx(0.0)


def test_a_child_that_has_ended_takes_none_of_its_waits_with_it(machine: Machine) -> None:
    own = Allowance(1.0)
    machine.now += 5.0
    count_waits_of(4242)
    machine.waited = 3.0  # of us, and of the child
    assert own.left() == pytest.approx(2.0)
    forget(4242)
    assert own.left() == pytest.approx(2.0)
    forget(4242)


def test_one_that_only_sleeps_is_hung() -> None:
    with pytest.raises(Hung), patience(0.05), limit():
        time.sleep(600)


@LINUX
def test_one_that_is_busy_without_end_is_hung() -> None:
    def spin() -> None:
        while True:
            pass

    with pytest.raises(Hung), patience(0.05), limit():
        spin()


@LINUX
def test_the_waits_of_a_child_are_read() -> None:
    """Two that are busy on one processor: each waits while the other runs."""
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"
    two = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    try:
        own = Allowance(0.0, two[0].pid)
        while own.left() < 0.05 - (time.monotonic() - own._begin):  # the time on the clock is taken out again
            time.sleep(0.01)
    finally:
        for process in two:
            process.kill()
            process.wait()
