"""A Dask cluster that is there: tasks for it, their results, and what has to be the same on all of its workers."""

from __future__ import annotations

import hashlib
import importlib
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event
from typing import Any

from capsound.errors import EXIT_UNKNOWN, EXIT_USAGE, CapsoundError
from capsound_checker.intake.limits import cut

_SECONDS = 10
"""How long a scheduler may take to answer at first, and how long a cluster may be without any worker, times three."""

_GLANCE = 0.5
"""How often is looked whether a result is still wanted, in seconds."""

_SAME = "install the same version of capsound, and of Python, on all workers"


class BadCluster(CapsoundError):
    """A cluster that cannot be used."""

    name = "bad-cluster"
    exit_status = EXIT_USAGE


class WorkerLost(CapsoundError):
    """Who did a part of the work has ended, and nobody can go on."""

    name = "worker-lost"
    exit_status = EXIT_UNKNOWN


@dataclass(slots=True)
class Cluster:
    """A cluster that was reached, and whose workers are as we are."""

    client: Any
    size: int
    rooms: tuple[str, ...]
    """The packages that have to be the same on all workers."""

    def submit(self, function: Callable[..., Any], *given: Any) -> Any:
        """Begin a task; return its future. What it is given is read only by a worker that is as we are."""
        given = (fingerprint(self.rooms), pickle.dumps(given, pickle.HIGHEST_PROTOCOL))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # there is nowhere else to have it
            return self.client.submit(function, *given, pure=False, retries=3)

    def result(self, future: Any, stop: Event | None = None) -> Any:
        """Wait for a task, at most until ``stop`` is set: None then. Raises ``WorkerLost`` where it cannot be done."""
        patience = _SECONDS if stop is None else _GLANCE
        alone = 0.0
        while stop is None or not stop.is_set():
            try:
                return future.result(timeout=patience)
            except TimeoutError:
                alone = 0.0 if self.client.scheduler_info(n_workers=-1)["workers"] else alone + patience
                if alone >= 3 * _SECONDS:
                    raise WorkerLost("no worker is left", hint="start workers, and run it again") from None
            except CapsoundError:
                raise
            except Exception as error:
                raise WorkerLost(
                    f"a task could not be done: {type(error).__name__}",
                    cause=cut(str(error)),
                    hint="give the workers more memory, or do it on this machine, with --workers",
                ) from error
        return None


@contextmanager
def reached(address: str, rooms: tuple[str, ...]) -> Iterator[Cluster]:
    """Connect to a scheduler; ``rooms`` are the packages that do the work.

    Raises ``BadCluster`` where there is none, or its workers are not as we are.
    """
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
            yield Cluster(client, agreed(client, address, rooms), rooms)
    finally:
        client.close()


def agreed(client: Any, address: str, rooms: tuple[str, ...]) -> int:
    """Return how many workers there are, all of which have this capsound. Raises ``BadCluster``."""

    def theirs() -> tuple[str, str]:  # written down as it is: a worker without capsound can run it
        try:
            from capsound_checker.spread.cluster import fingerprint
        except ImportError as error:
            return "", str(error)
        return fingerprint(rooms), ""

    told: dict[str, tuple[str, str]] = client.run(theirs)
    if not told:
        raise BadCluster(
            f"the scheduler at {cut(address, 80)} has no workers", hint=f"start some: `dask worker {cut(address, 80)}`"
        )
    for worker, (theirs_is, why) in sorted(told.items()):
        if theirs_is != fingerprint(rooms):
            raise BadCluster(
                f"worker {cut(worker, 80)} has {'another' if theirs_is else 'no'} capsound",
                cause=why or "what it would say may differ",
                hint=_SAME,
            )
    return len(told)


@cache
def fingerprint(rooms: tuple[str, ...]) -> str:
    """Return what tells this capsound from another one: the Python, and every file of some packages and modules."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for module in rooms:
        where = Path(str(importlib.import_module(module).__file__))
        for path in sorted(where.parent.rglob("*.py")) if where.name == "__init__.py" else [where]:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def read(rooms: tuple[str, ...], ours: str, given: bytes) -> Any:
    """Return what a task is given. Raises ``BadCluster`` on a worker that came later, and is not as those before."""
    if ours != fingerprint(rooms):
        raise BadCluster("a worker that has come has another capsound", hint=_SAME)
    return pickle.loads(given)
