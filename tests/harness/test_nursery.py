"""Children that are forked instead of started: what they see, how their end is told, and that nothing else differs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import left_behind

from capsound_checker.check import checking
from capsound_checker.check.checking import check
from capsound_checker.check.children import run_child
from capsound_checker.check.plan import Plan
from capsound_checker.check.verdicts import data
from capsound_checker.remote import isolation, nursery
from capsound_checker.remote.isolation import Ended
from capsound_checker.remote.nursery import Nursery

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc to look at")

DESK = Path(__file__).parents[1] / "docs" / "desk"
TOLD = """\
import os, signal, sys, time
from capsound.adapter import Adapter
{first}
mark = [e for e in open("/proc/self/environ").read().split("\\0") if e.startswith("PROCESS_GROUP_TAG=")]
print(os.getpid(), os.getppid(), os.getsid(0), os.getpgid(0), mark[0], hash("capsound"), flush=True)
assert "PROCESS_GROUP_TAG=" + os.environ["PROCESS_GROUP_TAG"] == mark[0]
assert sys.argv == [""] and sys.stdin.read() == ""
{last}

class Target(Adapter):
    pass
"""


@pytest.fixture
def forking() -> Any:
    with isolation.nursery() as one:
        yield one


def ran(folder: Path, forking: Nursery | None, first: str = "", last: str = "", **more: Any) -> tuple[Ended, list[str]]:
    """Run a child that loads a target; return how it ended, and what it printed first."""
    path = folder / f"told_{len(list(folder.iterdir()))}.py"
    path.write_text(TOLD.format(first=first, last=last))
    said: list[str] = []
    plan = Plan(f"{path}:Target", silence=20.0, seconds=3_600)
    request = {"job": "describe", **more}
    ended, _ = run_child(plan, request, lambda message: said.append(message["say"]), sys.float_info.max, None, forking)
    if ended.how != "done":
        return ended, list(ended.printed)
    return replace(ended, printed=tuple(said)), []


def printed(folder: Path, forking: Nursery | None, **more: Any) -> list[str]:
    """Return what a child says of itself: it exits, so that what it printed is known."""
    ended, lines = ran(folder, forking, last="os._exit(3)", **more)
    assert (ended.how, ended.code) == ("exit", 3)
    return lines[0].split()


def test_each_is_the_leader_of_a_session_with_a_mark_of_its_own(tmp_path: Path, forking: Nursery) -> None:
    one, two = printed(tmp_path, forking), printed(tmp_path, forking)
    for pid, parent, session, group, mark, _ in (one, two):
        assert pid == session == group
        assert int(parent) != os.getpid()
        assert mark.startswith(f"PROCESS_GROUP_TAG={os.getpid()}.")
    assert one[0] != two[0]
    assert one[1] == two[1], "both were forked of the same process"
    assert one[4] != two[4]


def test_one_with_another_hash_seed_is_a_fresh_process(tmp_path: Path, forking: Nursery) -> None:
    forked, again, fresh = (printed(tmp_path, forking, hashing=number) for number in (0, 0, 1))
    assert forked[5] == again[5] == printed(tmp_path, None)[5]
    assert forked[5] != fresh[5]
    assert int(fresh[1]) == os.getpid()


@pytest.mark.parametrize("how", ["forked", "fresh"])
@pytest.mark.parametrize(
    ("last", "ended"),
    [
        ("", ("done", 0)),
        ("os._exit(7)", ("exit", 7)),
        ("os.kill(os.getpid(), signal.SIGKILL)", ("signal", 9)),
        ("os.abort()", ("signal", 6)),
        ("raise SystemExit(4)", ("done", 0)),
    ],
)
def test_its_end_is_told(last: str, ended: tuple[str, int], how: str, tmp_path: Path, forking: Nursery) -> None:
    told, _ = ran(tmp_path, forking if how == "forked" else None, last=last)
    assert (told.how, told.code) == ended


def test_a_target_that_kills_its_parent_hits_the_nursery_alone(tmp_path: Path, forking: Nursery) -> None:
    ended, _ = ran(tmp_path, forking, last="os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)")
    assert (ended.how, ended.code) == ("signal", signal.SIGKILL)
    assert int(printed(tmp_path, forking)[1]) == os.getpid(), "without a nursery, it is a fresh process"


def test_what_is_only_forked_and_leaves_the_session_is_found(tmp_path: Path, forking: Nursery) -> None:
    """The nursery and its guard stay; they have another mark."""
    parent = int(printed(tmp_path, forking)[1])
    stay = left_behind(os.getpid())
    assert parent in stay
    ended, _ = ran(tmp_path, forking, last="if not os.fork():\n    os.setsid()\n    time.sleep(600)")
    assert ended.how == "done"
    assert left_behind(os.getpid()) == stay


def test_nothing_is_left_when_the_block_ends(tmp_path: Path) -> None:
    with isolation.nursery() as forking:
        assert isinstance(forking, Nursery)
        printed(tmp_path, forking)
        assert left_behind(os.getpid()) != []
    assert left_behind(os.getpid()) == []


def test_children_of_several_threads_are_kept_apart(tmp_path: Path, forking: Nursery) -> None:
    told: dict[int, list[str]] = {}
    folders = [tmp_path / str(number) for number in range(4)]

    def work(number: int) -> None:
        folders[number].mkdir()
        told[number] = printed(folders[number], forking)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({lines[0] for lines in told.values()}) == len({lines[4] for lines in told.values()}) == 4


def test_it_outlives_the_thread_that_asked_first(tmp_path: Path, forking: Nursery) -> None:
    told: list[list[str]] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: told.append(printed(tmp_path, forking)))
        thread.start()
        thread.join()
    told.append(printed(tmp_path, forking))
    assert len({lines[1] for lines in told}) == 1, "all were forked of the same process"


@pytest.mark.parametrize("target", ["counter_adapter.py:CounterAdapter", "budget_adapter.py:BudgetAdapter"])
def test_a_verdict_does_not_depend_on_it(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(f"{DESK}/{target}", programs=20, seconds=3_600)
    forked = data(check(plan))
    monkeypatch.setattr(nursery, "POSSIBLE", False)
    monkeypatch.setattr(isolation, "POSSIBLE", False)
    fresh = data(check(plan))
    for told in (forked, fresh):
        told.pop("seconds", None)
    assert forked == fresh


def test_where_there_can_be_none_children_are_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "POSSIBLE", False)
    with isolation.nursery() as forking:
        assert forking is None
    assert checking.nursery is isolation.nursery
