"""``capsound check --dask``: the jobs of one check, done on a cluster and judged here.

A task is a job of the plan: the worker drives the target in a child of its own, and sends back what that child said.
The jobs are those of a check on one machine, and what they say is judged in their order. So the verdict is the same
whatever the workers are, also where one dies: its job is done again elsewhere, from the same seeds.

A target in a file has to be at the same path on every worker, with the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from capsound.errors import CapsoundError
from capsound_checker.check.checking import checked_by
from capsound_checker.check.children import describe
from capsound_checker.check.hearing import Ending, Hands, Heard, drive
from capsound_checker.check.plan import Plan
from capsound_checker.check.results import Checked
from capsound_checker.remote.interpreters import HERE, Interpreter, interpreter
from capsound_checker.remote.isolation import nursery
from capsound_checker.remote.nursery import Nursery
from capsound_checker.spread.cluster import BadCluster, reached, read

ROOMS = ("capsound", *(f"capsound_checker.{n}" for n in ("check", "programs", "schedules", "histories", "remote")))
"""What has to be the same on all workers: every file that drives a target."""


def check_on(
    address: str,
    plan: Plan,
    progress: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Checked:
    """Check a target on the cluster of a scheduler. Raises what ``check`` raises, ``BadCluster`` and ``WorkerLost``."""
    ending = Ending(stop)
    with reached(address, ROOMS) as cluster:
        digest = digest_of(plan.target)

        def ask(job: Heard | None, seconds: float) -> Any:
            future = cluster.submit(done, plan, digest, job, seconds)
            said = cluster.result(future, ending)
            if said is None:
                cluster.client.cancel([future])
                return None
            answer = pickle.loads(said)
            if isinstance(answer, CapsoundError):
                raise answer
            return answer

        def described() -> dict[str, Any]:
            progress("loading the target on the cluster")
            said: dict[str, Any] | None = ask(None, 0.0)
            if said is None:  # nothing is known yet that could be told
                raise KeyboardInterrupt
            return said

        def driven(one: Heard, seconds: float) -> None:
            said: Heard | None = ask(one, seconds)
            if said is not None:
                one.messages, one.doubt, one.at, one.hangs = said.messages, said.doubt, said.at, said.hangs
            progress(f"{one.job['job']} is done")

        try:
            return checked_by(plan, Hands(cluster.size, described, driven), ending)
        finally:
            ending.set()


def digest_of(target: str) -> str:
    """Return what tells the file of a target from another one; empty where it is in no file that is here."""
    path = Path(target.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".py" and path.is_file() else ""


def done(ours: str, given: bytes) -> bytes:
    """Do a job in a child of this worker, or describe the target where there is no job; return what was heard.

    What the target is at fault for is returned, and not raised: no other worker need try it again.
    """
    plan, digest, one, seconds = read(ROOMS, ours, given)
    if digest_of(plan.target) != digest:
        raise BadCluster(
            f"a worker has another {plan.target.rpartition(':')[0]}, or none",
            hint="put the file at the same path on every worker, or start the workers in the same folder",
        )
    with while_wanted() as stop, interpreter(plan.environment) as who, forking_from(who) as forking:
        if one is None:
            try:
                return pickle.dumps(describe(plan, nursery=forking, stop=stop))
            except CapsoundError as error:
                return pickle.dumps(error)
        drive(plan, one, seconds, progress=lambda _: None, stop=stop, forking=forking)
    return pickle.dumps(one)


def forking_from(who: Interpreter) -> contextlib.AbstractContextManager[Nursery | None]:
    """Return a nursery, in a block: the one of this worker, or one of another interpreter that is asked for."""
    return nursery(who) if who != HERE else contextlib.nullcontext(_nursery())


@cache
def _nursery() -> Nursery | None:
    """Return what the children of this worker are forked of; it ends with the worker."""
    begun = nursery()
    return begun if isinstance(begun, Nursery) else None


@contextlib.contextmanager
def while_wanted() -> Iterator[threading.Event]:
    """Return an event that is set when nobody waits for the task of this thread any more; the worker knows that."""
    stop, ended = threading.Event(), threading.Event()
    distributed: Any = importlib.import_module("distributed")
    worker = distributed.get_worker()
    key = worker.get_current_task()

    def watch() -> None:
        while not ended.wait(_GLANCE):
            task = worker.state.tasks.get(key)
            if task is None or task.state == "cancelled":
                stop.set()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield stop
    finally:
        ended.set()


_GLANCE = 0.5
"""How often a worker looks whether its task is still wanted, in seconds."""
