"""``capsound check``: somebody else's implementation against the model, in processes of its own.

A child drives the target and reports what it finds; ``gathering`` judges it again. ``sound`` needs more than silence:
every child came to its end, nothing of ours was replaced, no exception went unclassified, and for each guarantee there
are runs that could have refuted it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound.guarantees import Guarantee
from capsound_checker.check.children import describe, evidence, run_child
from capsound_checker.check.evidence import Evidence
from capsound_checker.check.gathering import Gathered
from capsound_checker.check.plan import GUARANTEE_OF_JOB, Plan
from capsound_checker.check.results import Checked, is_prepaid
from capsound_checker.programs.program import LARGE, PASSING, PROFILES, SMALL_CHANGE
from capsound_checker.remote.process import is_address

PROPER = tuple(f"proper {name}" for name in PROFILES if name not in ("misuse", "bad amounts"))
"""The profiles in which every handle is used once, and every amount is valid."""

MISUSES = ("misuse", "bad amounts")
"""The profiles that use handles twice, copy them, and offer invalid amounts."""


class NothingToDo(CapsoundError):
    """A driver was asked for that does not apply to the target."""

    name = "nothing-to-do"
    exit_status = EXIT_USAGE


def check(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Checked:
    """Check a target.

    Raises ``TargetFailed`` when it cannot be loaded. On Ctrl-C what is known so far is returned, with a doubt.
    """
    begin = time.monotonic()
    adapter = describe(plan)
    gathered = Gathered(
        waits=adapter["waits"],
        seed=plan.seed,
        blind="spent" not in adapter["offers"],
        evidence=Evidence(prepaid=is_prepaid(adapter), only_releases=not {"forfeit", "call"} & set(adapter["offers"])),
    )
    if is_prepaid(adapter) and "A1" not in adapter["assumes"]:
        gathered.notes.append("it is never told a bill: it can only be right if no bill exceeds its hold (A1)")
    jobs = planned(plan, adapter)
    shares = shared(jobs)
    end = begin + plan.seconds
    stop = threading.Event()
    heard = [Heard(job) for job in jobs]
    with ThreadPoolExecutor(plan.workers) as pool:
        try:
            parts = zip(heard, shares, strict=True)
            for ended in [pool.submit(_do, plan, one, share, heard, end, progress, stop) for one, share in parts]:
                ended.result()
        except KeyboardInterrupt:
            gathered.doubt("interrupted")
        finally:  # whatever it was that ended this: no child goes on, and none is started
            stop.set()
            pool.shutdown(cancel_futures=True)
    merge(heard, gathered)
    exercised = gathered.informative or all(gathered.exercise.get(name, 0) for name in ("admitted", "sent"))
    all_shown = gathered.all_shown()
    if not all_shown and not gathered.doubted and not exercised:
        gathered.doubt("it was not exercised: no call was admitted, sent and settled")
    if missed := [name for name in adapter.get("left_out", ()) if not plan.drivers or name in plan.drivers]:
        cure = "install capsound in the environment of the target, and check it there"
        at = min(GUARANTEE_OF_JOB.get(name, Guarantee.SEQUENTIAL) for name in missed)
        gathered.doubt(f"not tried, since they cannot work over a pipe: {', '.join(missed)} ({cure})", at)
    return Checked(
        plan,
        adapter,
        tuple(sorted(all_shown, key=lambda s: (s.misuse, len(s.program), s.at, s.anomaly))),
        tuple(sorted(gathered.refutations, key=lambda r: (r[0], sorted(r[1])))),
        tuple(gathered.doubted),
        tuple(gathered.notes),
        gathered.exercise,
        gathered.programs,
        gathered.operations,
        gathered.schedules,
        gathered.precision,
        gathered.evidence,
        frozenset(gathered.blind_stops),
        tuple(gathered.unvaried()),
        time.monotonic() - begin,
    )


PARTS = 2
"""How many children share the programs, whatever the number of workers, each with a hash seed of its own."""


def planned(plan: Plan, adapter: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the children are asked for: the same, in the same order, for any number of workers."""
    base = {"programs": plan.programs, "seed": plan.seed, "schedules": plan.schedules}
    usual = (*PROPER, SMALL_CHANGE.name)
    jobs: list[dict[str, Any]] = [
        {**base, "job": "programs", "profiles": usual[part::PARTS], "hashing": part} for part in range(PARTS)
    ]
    jobs.append({**base, "job": "programs", "profiles": [LARGE.name], "large": True})
    if not plan.python and not is_address(plan.target):
        jobs.append({**base, "job": "programs", "profiles": [PASSING.name], "clock": True})
    jobs.append({**base, "job": "misuse", "profiles": MISUSES})
    claims = adapter["claims"]
    jobs += [{**base, "job": name} for name in ("threads", "handlers") if name in claims]
    jobs += [{**base, "job": "history"}] if "threads" in claims and adapter["gate"] != "call" else []
    jobs += [{**base, "job": "asyncio"}] if adapter["waits"] else []
    jobs.append({**base, "job": "precision"})
    wanted = [job for job in jobs if job.get("profiles", True) and (not plan.drivers or job["job"] in plan.drivers)]
    if not wanted:
        raise NothingToDo(
            f"none of {', '.join(plan.drivers)} applies to {plan.target}",
            hint=f"it can be checked with: {', '.join(dict.fromkeys(job['job'] for job in jobs))}",
        )
    return wanted


_HUNTING = 0.7
"""The part of its time in which a child hunts; the rest is for shrinking."""

_WEIGHTS = {"programs": 6, "misuse": 2, "threads": 3, "handlers": 2, "history": 1, "asyncio": 3, "precision": 1}


def shared(jobs: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return for each job which part it gets of the time that is left when its turn comes: every driver has a turn.

    What a job leaves is for those after it.
    """
    weights = [_WEIGHTS[str(job["job"])] for job in jobs]
    return [weight / sum(weights[number:]) for number, weight in enumerate(weights)]


@dataclass
class Heard:
    """What one child has said, in the order in which it did; it is judged when all before it have been."""

    job: Mapping[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)
    doubt: str = ""
    at: Guarantee = Guarantee.STOPS
    """The weakest guarantee that might be refuted but for the doubt."""
    note: str = ""
    hangs: bool = False
    """Whether every further child would hang as well."""


def merge(heard: Sequence[Heard], gathered: Gathered) -> None:
    """Judge what the children have said, in the order of their jobs: who was faster does not show."""
    hangs = False
    for one in heard:
        name = str(one.job["job"])
        if hangs:
            gathered.note(f"it hangs: {name} was not tried")
            continue
        for message in one.messages:
            gathered.hear(name, message)
        if one.note:
            gathered.note(one.note)
        if one.doubt:
            gathered.doubt(one.doubt, one.at)
        hangs = one.hangs


def _do(
    plan: Plan,
    one: Heard,
    share: float,
    heard: Sequence[Heard],
    end: float,
    progress: Callable[[str], None],
    stop: threading.Event,
) -> None:
    name = str(one.job["job"])
    left = min(1.0, share * plan.workers) * (end - time.monotonic())
    if left <= 0:
        told = f"time ran out before {name} was tried"
        if name in GUARANTEE_OF_JOB:
            one.doubt, one.at = told, GUARANTEE_OF_JOB[name]
        else:
            one.note = told
        return
    if any(other.hangs for other in heard[: heard.index(one)]):
        return
    noticed: set[str] = set()

    def hear(message: dict[str, Any]) -> None:
        if message["say"] == "beat":
            progress(f"{name}: {message['where']}, {len(noticed)} anomalies")
            return
        if message["say"] == "noticed":
            noticed.add(message["name"])
            one.hangs = one.hangs or message["name"] == "hang"
        one.messages.append(message)

    # The child is asked to be done in time, and has as long again to shrink what it found.
    request = {**one.job, "seconds": left * _HUNTING}
    ended, where = run_child(plan, request, hear, time.monotonic() + 2 * left + plan.silence, stop)
    one.hangs = one.hangs or ended.how == "silent"
    if ended.how not in ("done", "stopped"):
        one.doubt = evidence(plan, ended, where, name)
