"""A log judged on a Dask cluster that is there, stretch by stretch.

A task is a pure function: the lines of a stretch in, what they leave behind out, both as bytes. This process keeps the
lines until it has the answer. So a worker that dies takes nothing with it: its task is done again elsewhere, from the
same bytes, and counts once. A few more tasks than there are workers wait at any time, which bounds what is in memory.
"""

from __future__ import annotations

import hashlib
import importlib
import pickle
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.audit.ahead import Maker
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.joining import Team
from capsound_checker.audit.lots import Lot
from capsound_checker.audit.rules import LogMapping
from capsound_checker.audit.stretches import Summary, Terms, summarised
from capsound_checker.audit.workers import WorkerLost
from capsound_checker.intake.limits import cut

_SECONDS = 10
"""How long a scheduler may take to answer at first, and how long a cluster may be without any worker, times three."""


_SAME = "install the same version of capsound, and of Python, on all workers"


class BadCluster(CapsoundError):
    """A cluster that cannot be used."""

    name = "bad-cluster"
    exit_status = EXIT_USAGE


@dataclass(slots=True)
class Cluster:
    """A cluster that was reached, and whose workers are as we are."""

    client: Any
    size: int

    def submit(self, function: Callable[..., Any], *given: Any) -> Any:
        """Begin a task; return its future. What it is given is read only by a worker that is as we are."""
        given = (fingerprint(), pickle.dumps(given, pickle.HIGHEST_PROTOCOL))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # there is nowhere else to have it
            return self.client.submit(function, *given, pure=False, retries=3)

    def result(self, future: Any) -> Any:
        """Wait for a task. Raises ``WorkerLost`` where it cannot be done."""
        alone = 0
        while True:
            try:
                return future.result(timeout=_SECONDS)
            except TimeoutError:
                alone = 0 if self.client.scheduler_info(n_workers=-1)["workers"] else alone + 1
                if alone >= 3:
                    raise WorkerLost("no worker is left", hint="start workers, and run it again") from None
            except CapsoundError:
                raise
            except Exception as error:
                raise WorkerLost(
                    f"a task could not be done: {type(error).__name__}",
                    cause=cut(str(error)),
                    hint="give the workers more memory, or the log to --workers",
                ) from error


@contextmanager
def reached(address: str) -> Iterator[Cluster]:
    """Connect to a scheduler. Raises ``BadCluster`` where there is none, or its workers are not as we are."""
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise BadCluster(
            "--dask needs distributed, which is not installed",
            cause=str(error),
            hint="pip install 'capsound[cluster]'",
        ) from None
    try:
        client = distributed.Client(address, timeout=_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise BadCluster(
            f"there is no Dask scheduler at {cut(address, 80)}",
            cause=cut(str(error)),
            hint="start one with `dask scheduler`, and give its address: tcp://HOST:8786",
        ) from None
    try:
        with client:
            yield Cluster(client, _agreed(client, address))
    finally:
        client.close()


def _agreed(client: Any, address: str) -> int:
    """Return how many workers there are, all of which have this capsound. Raises ``BadCluster``."""

    def theirs() -> tuple[str, str]:  # written down as it is: a worker without capsound can run it
        try:
            from capsound_checker.audit.cluster import fingerprint
        except ImportError as error:
            return "", str(error)
        return fingerprint(), ""

    told: dict[str, tuple[str, str]] = client.run(theirs)
    if not told:
        raise BadCluster(
            f"the scheduler at {cut(address, 80)} has no workers", hint=f"start some: `dask worker {cut(address, 80)}`"
        )
    for worker, (theirs_is, why) in sorted(told.items()):
        if theirs_is != fingerprint():
            raise BadCluster(
                f"worker {cut(worker, 80)} has {'another' if theirs_is else 'no'} capsound",
                cause=why or "what it would say may differ",
                hint=_SAME,
            )
    return len(told)


@cache
def fingerprint() -> str:
    """Return what tells this capsound from another one: the Python, and every file that judges a log."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for module in ("capsound", "capsound_checker.audit", "capsound_checker.intake", "capsound_checker.prices"):
        where = importlib.import_module(module).__file__
        for path in sorted(Path(str(where)).parent.rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


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
    asked, terms, lot = _read(ours, given)
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
    mapping, bundle = _read(ours, given)
    return Maker(_mapping(mapping)).make(bundle)


def _read(ours: str, given: bytes) -> Any:
    """Return what a task is given. Raises ``BadCluster`` on a worker that came later, and is not as those before."""
    if ours != fingerprint():
        raise BadCluster("a worker that has come has another capsound", hint=_SAME)
    return pickle.loads(given)


@cache
def _mapping(written: bytes) -> LogMapping:
    known: LogMapping = pickle.loads(written)
    return known
