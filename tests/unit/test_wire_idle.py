"""Who waits, on systems that are made up: a folder with the files that /proc would have."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from capsound_checker.wire import connections, idle, timers
from capsound_checker.wire.acting import Acting
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.idle import Look
from capsound_checker.wire.money import Tariff, Unit
from capsound_checker.wire.provider import Provider
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.stepping import Limits, Stepping


class Proc:
    """A system of which every process and thread is said by the test."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def thread(
        self, pid: int, tid: int, state: str = "S", spent: str | None = "5 6 7", children: str = "", switches: int = 3
    ) -> None:
        folder = self.root / str(pid) / "task" / str(tid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stat").write_text(f"{tid} (a ) R b) {state} 1 1 1")
        (folder / "status").write_text(
            f"Name:\tx\nvoluntary_ctxt_switches:\t{switches}\nnonvoluntary_ctxt_switches:\t1\n"
        )
        (folder / "children").write_text(children)
        (folder / "schedstat").unlink(missing_ok=True)
        if spent is not None:
            (folder / "schedstat").write_text(spent)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proc:
    monkeypatch.setattr(idle, "PROC", str(tmp_path))
    return Proc(tmp_path)


def test_who_sleeps_and_has_not_run_since_waits(proc: Proc) -> None:
    proc.thread(10, 10)
    proc.thread(10, 11)
    assert idle.look([10]).same(idle.look([10]))


@pytest.mark.parametrize("state", ["R", "D"])
def test_one_thread_that_runs_is_enough(proc: Proc, state: str) -> None:
    proc.thread(10, 10)
    proc.thread(10, 11, state)
    assert idle.look([10]).busy


@pytest.mark.parametrize("state", ["S", "T", "t", "I", "Z", "X"])
def test_other_states_are_no_running(proc: Proc, state: str) -> None:
    proc.thread(10, 10, state)
    assert not idle.look([10]).busy


def test_who_has_run_in_between_does_not_wait(proc: Proc) -> None:
    proc.thread(10, 10)
    before = idle.look([10])
    proc.thread(10, 10, spent="5 6 8")
    assert not before.same(idle.look([10]))


@pytest.mark.parametrize(("pid", "tid"), [(10, 11), (20, 20)])
def test_a_new_thread_or_process_is_a_change(proc: Proc, pid: int, tid: int) -> None:
    proc.thread(10, 10)
    before = idle.look([10])
    proc.thread(10, 10, children="20 ")
    proc.thread(pid, tid)
    assert not before.same(idle.look([10]))


def test_children_of_every_thread_belong_to_the_tree(proc: Proc) -> None:
    proc.thread(10, 10, children="20 ")
    proc.thread(10, 11, children="30 ")
    proc.thread(20, 20, children="40 ")
    proc.thread(30, 30, "R")
    proc.thread(40, 40)
    proc.thread(50, 50, "R")
    assert idle.tree([10]) == (10, 20, 30, 40)
    assert idle.tree([10], without=lambda pid: pid == 30) == (10, 20, 40)
    assert idle.look([10]).busy
    assert not idle.look([20]).busy


def test_a_thread_that_ends_meanwhile_counts_as_running(proc: Proc) -> None:
    proc.thread(10, 10)
    (proc.root / "10" / "task" / "12").mkdir()
    assert idle.look([10]).busy


def test_processes_that_are_gone_are_left_out(proc: Proc) -> None:
    assert idle.tree([99]) == ()
    assert not idle.look([99]).busy


def test_without_statistics_of_the_scheduler_the_switches_tell_it(proc: Proc) -> None:
    proc.thread(10, 10, spent=None)
    before = idle.look([10])
    assert before.same(idle.look([10]))
    proc.thread(10, 10, spent=None, switches=4)
    assert not before.same(idle.look([10]))


LINE = "{n:4}: {here} {there} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 20 4 30 10 -1"


def test_a_connection_that_leaves_the_machine_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "PROC", str(tmp_path))
    monkeypatch.setattr("sys.byteorder", "little")
    mapped = "0000000000000000FFFF0000"
    ours = "0100007F:1F90"
    tables = {
        "tcp": [
            (ours, "0100007F:0050", "01", 1),  # to this machine
            ("0A00000A:1F90", "0A00000A:0050", "01", 2),  # to this machine, by another of its names
            ("0A00000A:1F91", "22D7B85D:01BB", "01", 3),  # established
            ("0A00000A:1F92", "22D7B85E:01BB", "06", 4),  # closed by us
            ("0A00000A:1F93", "22D7B85F:01BB", "02", 5),  # being made
            ("0A00000A:1F94", "22D7B860:01BB", "01", 6),  # of somebody else
        ],
        "tcp6": [(mapped + ours, mapped + "22D7B861:01BB", "01", 7)],
    }
    (tmp_path / "net").mkdir()
    for name, rows in tables.items():
        lines = [LINE.format(n=n, here=a, there=b, state=s, inode=i) for n, (a, b, s, i) in enumerate(rows)]
        (tmp_path / "net" / name).write_text("\n".join(["  sl  local_address ...", *lines, ""]))
    (tmp_path / "40" / "fd").mkdir(parents=True)
    for number in (1, 2, 3, 4, 5, 7):
        (tmp_path / "40" / "fd" / str(number)).symlink_to(f"socket:[{number}]")
    assert connections.outside([40]) == ("93.184.215.34:443", "95.184.215.34:443", "97.184.215.34:443")
    assert connections.outside([41]) == ()


def test_a_system_without_proc_shows_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(idle, "PROC", str(tmp_path / "none"))
    assert not idle.visible()
    assert idle.children() == ()
    assert connections.owners([80], [10]) == {}


def test_the_owner_of_a_connection_is_found(proc: Proc) -> None:
    (proc.root / "net").mkdir()
    line = "  0: 0100007F:{:04X} 0100007F:1F90 01 0:0 00:0 0 0 0 {}\n"
    (proc.root / "net" / "tcp").write_text("  sl  local_address\n" + line.format(4000, 77) + line.format(4001, 78))
    for pid, inode in ((10, 77), (20, 78), (30, 79)):
        folder = proc.root / str(pid) / "fd"
        folder.mkdir(parents=True)
        (folder / "3").symlink_to(f"socket:[{inode}]")
    assert connections.owners([4000, 4001, 4002], [10, 20, 30]) == {4000: 10, 4001: 20}


@pytest.mark.skipif(not idle.visible(), reason="there is no /proc to look at")
class TestHere:
    """The same on the system that runs the tests."""

    @staticmethod
    def calm(pid: int, tries: int = 12_000) -> bool:
        before = idle.look([pid])
        for _ in range(tries):
            time.sleep(0.01)
            now = idle.look([pid])
            if now.same(before):
                return True
            before = now
        return False

    def test_a_program_that_waits_for_its_input_waits(self) -> None:
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            assert self.calm(process.pid)
            assert process.stdin is not None
            process.stdin.close()

    def test_a_busy_one_never_does(self) -> None:
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
            assert not self.calm(process.pid, 40)
            process.kill()

    def test_a_child_that_is_busy_keeps_its_parent_from_it(self) -> None:
        code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
        with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
            assert not self.calm(process.pid, 40)
            os.killpg(process.pid, 9)

    def test_switches_tell_it_as_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = idle.read

        def without_statistics(path: str) -> bytes:
            if path.endswith("schedstat"):
                raise FileNotFoundError
            return real(path)

        monkeypatch.setattr(idle, "read", without_statistics)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            assert self.calm(process.pid)
            assert process.stdin is not None
            process.stdin.close()
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
            assert not self.calm(process.pid, 40)
            process.kill()


def test_who_wakes_up_while_its_timer_is_read_is_waited_for(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request is held; a thread that slept wakes up after the looks, asks, and then waits without a limit."""
    told = cast("Any", SimpleNamespace(state="held"))
    acting = Acting(Billing(Tariff(Unit("tokens"))), held=[told])
    provider = Provider(lambda _: None, lambda _: None)
    application = cast("Any", SimpleNamespace(status=None, processes=lambda: (10,)))
    stepping = Stepping(application, provider, Schedule(), acting, Limits())
    proc.thread(10, 10)
    proc.thread(10, 11, spent="1 1 1")

    def wakes_in(_: object) -> float:
        """It was asleep when it was looked at; now it is at work, and its time limit cannot be seen."""
        if len(acting.held) == 1:
            proc.thread(10, 11, "R", spent="2 2 2")
        return float("inf")

    real = idle.look

    def look(roots: Iterable[int]) -> Look:
        seen = real(roots)
        if seen.busy:  # it asks, and waits for its answer
            proc.thread(10, 11, spent="3 3 3")
            acting.held.append(told)
        return seen

    monkeypatch.setattr(timers, "wakes_in", wakes_in)
    monkeypatch.setattr(idle, "look", look)
    assert asyncio.run(asyncio.wait_for(stepping._rest(), 60)) == "idle"
    assert len(acting.held) == 2
