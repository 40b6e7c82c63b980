"""`capsound audit --dask`: the report of one process, also when a worker is killed in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest
from long_logs import log

from capsound_checker.audit.asking import Asked
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.cluster import ROOMS, Tasks, judged, reached
from capsound_checker.audit.joining import joined
from capsound_checker.audit.stretches import Summary
from capsound_checker.audit.teams import audit_by
from capsound_checker.spread import cluster
from capsound_checker.spread.cluster import BadCluster, agreed, fingerprint

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    # To import it takes seconds, in every worker: that is left to whoever runs these tests.
    pytest.mark.skipif(find_spec("distributed") is None, reason="distributed is not installed"),
]

SPANS = Path(__file__).resolve().parent.parent / "support" / "spans"


@dataclass(slots=True)
class Counted(Tasks):
    """Counts the stretches that were judged by tasks."""

    done: int = 0

    def finish(self, ticket: object) -> Summary | None:
        said = Tasks.finish(self, ticket)
        self.done += said is not None
        return said


def test_a_worker_that_is_killed_loses_nothing_and_counts_nothing_twice(workers: Any) -> None:
    lines = log(Random(5), 20_000, roots=20, odd=0.0, names=20_000)
    asked = Asked("log", lenient=True)
    killed: list[int] = []

    def source() -> Iterator[str]:
        for number, line in enumerate(lines):
            if number in (8_000, 12_000):
                pid = next(pid for one in workers.workers.values() if (pid := one.process.pid) is not None)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            yield line

    with reached(workers.scheduler_address) as there:
        tasks = Counted(there, asked, 3)
        told = joined(source(), asked, tasks, size=20_000, head=20_000)
    assert tasks.done > 20
    assert told.data() == audit(iter(lines), name="log", lenient=True).data()
    assert len(set(killed)) == 2


def test_the_first_error_is_told_as_by_one_process(workers: Any) -> None:
    lines = [*log(Random(5), 2_000, roots=5, odd=0.0), '{"event": "settle", "hold": "none", "amount": 3}\n']
    lines += log(Random(6), 200, roots=1, odd=0.0)
    asked = Asked("log")
    with pytest.raises(Exception, match="log:") as alone:
        audit(iter(lines), name="log")
    with reached(workers.scheduler_address) as there, pytest.raises(type(alone.value)) as told:
        joined(iter(lines), asked, Tasks(there, asked, 2), size=5_000, head=5_000)
    assert str(told.value) == str(alone.value)


def test_a_mapping_is_applied_by_the_workers(workers: Any) -> None:
    from capsound_checker.audit.recognising import recognised

    source = (SPANS / "unfinished-stream.jsonl").read_text().splitlines(keepends=True) * 40
    mapping = recognised(iter(source), "log").mapping
    assert mapping is not None
    told = audit_by(iter(source), Asked("log", 1000), mapping, dask=workers.scheduler_address)
    assert told.data() == audit(iter(source), name="log", mapping=mapping, cap=1000).data()


# ------------------------------------------------------------------------------------------------ what fails


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, capsound: Callable[..., Any], tmp_path: Path) -> None:
    monkeypatch.setattr(cluster, "_SECONDS", 0.5)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(log(Random(1), 20)))
    ran = capsound("audit", path, "--dask", "tcp://127.0.0.1:9")
    assert (ran.status, ran.out) == (64, "")
    assert "there is no Dask scheduler at tcp://127.0.0.1:9" in ran.err
    assert "dask scheduler" in ran.err


class Told:
    """A client whose workers say what they are told to say."""

    def __init__(self, said: dict[str, tuple[str, str]]) -> None:
        self.said = said

    def run(self, _: object) -> dict[str, tuple[str, str]]:
        return self.said


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "has no workers"),
        ({"a": ("", "No module named 'capsound_checker'")}, "worker a has no capsound"),
        ({"a": (fingerprint(ROOMS), ""), "b": ("0" * 64, "")}, "worker b has another capsound"),
    ],
)
def test_workers_have_to_be_as_we_are(said: dict[str, tuple[str, str]], message: str) -> None:
    with pytest.raises(BadCluster, match=message) as error:
        agreed(Told(said), "tcp://x:1", ROOMS)
    assert error.value.hint


def test_a_worker_that_comes_later_has_to_be_so_too() -> None:
    with pytest.raises(BadCluster, match="another capsound"):
        judged("0" * 64, b"nothing that it would read")
