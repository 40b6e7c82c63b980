"""A log judged on a Dask cluster that is there, stretch by stretch.

A task is a pure function: the lines of a stretch in, what they leave behind out, both as bytes. This process keeps the
lines until it has the answer. So a worker that dies takes nothing with it: its task is done again elsewhere, from the
same bytes, and counts once. A few more tasks than there are workers wait at any time, which bounds what is in memory.
"""

from __future__ import annotations

import importlib
import pickle
from collections import deque
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from capsound_checker.audit.ahead import Maker
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.joining import Team
from capsound_checker.audit.lots import Lot
from capsound_checker.audit.rules import LogMapping
from capsound_checker.audit.stretches import Summary, Terms, summarised
from capsound_checker.spread.cluster import Cluster, read
from capsound_checker.spread.cluster import reached as reached_with

ROOMS = ("capsound", "capsound_checker.audit", "capsound_checker.intake", "capsound_checker.prices")
"""What has to be the same on all workers: every file that judges a log."""


def reached(address: str) -> AbstractContextManager[Cluster]:
    """Connect to a scheduler. Raises ``BadCluster`` where there is none, or its workers are not as we are."""
    return reached_with(address, ROOMS)


# ------------------------------------------------------------------------------------- our own vocabulary


@dataclass(slots=True)
class Tasks(Team):
    """Stretches that are judged by tasks."""

    cluster: Cluster
    asked: Asked
    size: int
    here: bool = False

    def begin(self, terms: Terms, lot: Lot) -> object:
        """Begin the task of a stretch; return its future."""
        return self.cluster.submit(judged, self.asked, terms, lot)

    def finish(self, ticket: object) -> Summary | None:
        """Wait for a task."""
        said: Summary | None = pickle.loads(self.cluster.result(ticket))
        return said


def judged(ours: str, given: bytes) -> bytes:
    """Return what a stretch leaves behind, written down."""
    asked, terms, lot = read(ROOMS, ours, given)
    return pickle.dumps(summarised(asked.auditor(), terms, lot), pickle.HIGHEST_PROTOCOL)


# ------------------------------------------------------------------------------------------- foreign logs


@dataclass(slots=True)
class Bundles:
    """Bundles of records that tasks make into events, in their order."""

    cluster: Cluster
    mapping: bytes
    running: dict[int, deque[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: Cluster, mapping: LogMapping) -> Bundles:
        """Return none so far. A mapping is made of functions: cloudpickle, which comes with Dask, writes them down."""
        return cls(cluster, importlib.import_module("cloudpickle").dumps(mapping))

    def give(self, worker: int, bundle: bytes) -> None:
        """Begin a task."""
        self.running.setdefault(worker, deque()).append(self.cluster.submit(made_there, self.mapping, bundle))

    def take(self, worker: int) -> bytes:
        """Wait for the first task that was begun for a worker."""
        answer: bytes = self.cluster.result(self.running[worker].popleft())
        return answer


def made_there(ours: str, given: bytes) -> bytes:
    """Return what a mapping makes of a bundle of lines."""
    mapping, bundle = read(ROOMS, ours, given)
    return Maker(_mapping(mapping)).make(bundle)


@cache
def _mapping(written: bytes) -> LogMapping:
    known: LogMapping = pickle.loads(written)
    return known
