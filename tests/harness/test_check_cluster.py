"""`capsound check --dask`: the findings of one process, also when a worker is killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from capsound_checker.check import spreading
from capsound_checker.check.checking import check
from capsound_checker.check.plan import Plan
from capsound_checker.check.spreading import ROOMS, check_on, digest_of, done
from capsound_checker.check.verdicts import data
from capsound_checker.spread import cluster
from capsound_checker.spread.cluster import BadCluster, fingerprint

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    # To import it takes seconds, in every worker: that is left to whoever runs these tests.
    pytest.mark.skipif(find_spec("distributed") is None, reason="distributed is not installed"),
]

ZOO = Path(__file__).resolve().parent.parent / "quality" / "zoo"


def test_a_worker_that_is_killed_changes_nothing(workers: Any) -> None:
    plan = Plan(f"{ZOO / 'check_then_act.py'}:Target", programs=40, seconds=3_600.0, drivers=("programs", "precision"))
    killed: list[int] = []

    def progress(_: str) -> None:
        if not killed:
            pid = next(pid for one in workers.workers.values() if (pid := one.process.pid) is not None)
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    told = data(check_on(workers.scheduler_address, plan, progress))
    assert killed
    assert told == data(check(plan))
    assert (told["verdict"], told["strongest"]) == ("violated", "sequential")


def test_what_cannot_be_loaded_there_is_told_as_here(
    workers: Any, capsound: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text(
        "import pathlib\n"
        "with pathlib.Path(__file__).with_name('loads').open('a') as file:\n    file.write('.')\n"
        "raise RuntimeError('out of order')\n"
    )
    here = capsound("check", "broken.py:Target", cwd=tmp_path)
    there = capsound("check", f"{tmp_path}/broken.py:Target", "--dask", workers.scheduler_address)
    assert (here.status, there.status) == (65, 65)
    assert (tmp_path / "loads").read_text() == ".."  # once here and once there
    assert "out of order" in there.err


def test_a_league_is_judged_by_the_workers(workers: Any, capsound: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text((ZOO / "check_then_act.py").read_text())
    (tmp_path / "league.toml").write_text(
        '[league]\nprograms = 3\nschedules = 3\n[[target]]\nname = "counter"\nkind = "counter"\nregistry = "local"\n'
        'adapter = "counter.py:Target"\npromise = "It stops."\nsource = "README.md"\n'
    )
    command = ("league", "league.toml", "--json")
    here = capsound(*command, "--environments", "here", cwd=tmp_path)
    there = capsound(*command, "--environments", "there", "--dask", workers.scheduler_address, cwd=tmp_path)
    assert here.status == there.status == 0
    assert here.out == there.out


def test_a_worker_has_to_have_the_same_file(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "target.py"
    path.write_text("one\n")
    digest = digest_of(f"{path}:Target")
    path.write_text("another\n")
    given = pickle.dumps((Plan(f"{path}:Target"), digest, None, 0.0))
    with pytest.raises(BadCluster, match=r"another .*target\.py"):
        done(fingerprint(ROOMS), given)
    with pytest.raises(BadCluster, match="another capsound"):
        done("0" * 64, given)
    assert spreading.digest_of("cmd:node harness.js") == ""


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, capsound: Callable[..., Any]) -> None:
    monkeypatch.setattr(cluster, "_SECONDS", 0.5)
    ran = capsound("check", f"{ZOO / 'check_then_act.py'}:Target", "--dask", "tcp://127.0.0.1:9")
    assert (ran.status, ran.out) == (64, "")
    assert "there is no Dask scheduler at tcp://127.0.0.1:9" in ran.err


@pytest.mark.parametrize(
    "options", [("--dask", "tcp://127.0.0.1:9", "--workers", "2"), ("--python", "python3", "--environment", "env")]
)
def test_two_ways_for_one_thing(options: tuple[str, ...], capsound: Callable[..., Any]) -> None:
    ran = capsound("check", "x.py:Target", *options)
    assert ran.status == 64
    assert "two ways for one thing" in ran.err
