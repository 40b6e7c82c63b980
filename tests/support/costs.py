"""What each test costs: processor time of its process and of all that descends from it, written by ``--costs FILE``.

Wall time on a busy machine says what the machine did. Processor time says what a test did, whoever runs beside it.
"""

from __future__ import annotations

import collections
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """Seconds of a processor: of this process, and of those that descend from it."""

    here: float
    below: float

    def __sub__(self, earlier: Spent) -> Spent:
        return Spent(self.here - earlier.here, self.below - earlier.below)


def _alive_below(process: int) -> float:
    """Return the processor time of all living descendants, with that of the dead ones they waited for.

    The kernel adds a child to ``RUSAGE_CHILDREN`` when it is waited for, and some live for many tests.
    """
    children: dict[int, list[int]] = collections.defaultdict(list)
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        children[int(fields[1])].append(int(entry.name))
        ticks[int(entry.name)] = sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc(5)
    found, todo = 0, list(children[process])
    while todo:
        child = todo.pop()
        found += ticks[child]
        todo += children[child]
    return found / TICKS


def spent() -> Spent:
    """Return what this process and its descendants have spent since they began."""
    here, dead = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Spent(here.ru_utime + here.ru_stime, dead.ru_utime + dead.ru_stime + _alive_below(os.getpid()))


class Costs:
    """The plugin: a table of tests, dearest first, and one of files, from all workers."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self.config = config
        self.path = path
        self.rows: list[tuple[str, float, float, float, float, str]] = []
        self.worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        self.begun = spent()

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        yield from self._measured("(collection)")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._measured(item.nodeid))

    def _measured(self, name: str) -> Iterator[None]:
        before, clock = spent(), time.time()
        try:
            return (yield)
        finally:
            cost = spent() - before
            self.rows.append((name, cost.here, cost.below, clock, time.time(), self.worker))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        self.rows += [tuple(row) for row in getattr(node, "workeroutput", {}).get("costs", ())]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if hasattr(self.config, "workerinput"):
            self.config.workeroutput["costs"] = self.rows  # type: ignore[attr-defined]
            return
        self.path.write_text(self.table())

    def table(self) -> str:
        """Return both tables: seconds of a processor, those of children, by the clock, worker, name."""
        rows = sorted(self.rows, key=lambda row: (-row[1] - row[2], row[0]))
        files: dict[str, list[float]] = {}
        for name, here, below, begun, ended, _worker in rows:
            sums = files.setdefault(name.partition("::")[0], [0.0, 0.0, 0.0])
            for place, value in enumerate((here + below, below, ended - begun)):
                sums[place] += value
        lines = ["# files: seconds of a processor, those of children, seconds by the clock, file"]
        lines += [
            f"{total:.2f}\t{below:.2f}\t{clock:.2f}\t{name}"
            for name, (total, below, clock) in sorted(files.items(), key=lambda file: (-file[1][0], file[0]))
        ]
        lines += ["# tests: seconds of a processor, those of children, begun and ended by the clock, worker, test"]
        lines += [
            f"{here + below:.2f}\t{below:.2f}\t{begun:.1f}\t{ended:.1f}\t{worker}\t{name}"
            for name, here, below, begun, ended, worker in rows
        ]
        return "\n".join(lines) + "\n"
