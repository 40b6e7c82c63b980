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
from functools import partial
from itertools import pairwise
from typing import Any

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound.guarantees import Guarantee
from capsound.sizes import REQUESTS
from capsound_checker.check.children import describe
from capsound_checker.check.evidence import Evidence
from capsound_checker.check.gathering import Gathered
from capsound_checker.check.hearing import Ending, Hands, Heard, drive, give, merge
from capsound_checker.check.plan import GUARANTEE_OF_JOB, Plan
from capsound_checker.check.results import Checked, is_prepaid
from capsound_checker.check.tokens import token
from capsound_checker.programs.program import CEILINGS, LARGE, PASSING, PROFILES, SMALL_CHANGE, UNSEEN, WINDOWS
from capsound_checker.remote.interpreters import interpreter
from capsound_checker.remote.isolation import nursery
from capsound_checker.remote.process import is_address

IN_TIME = tuple(profile.name for profile in WINDOWS)
"""The profiles in which time passes around the ends of windows."""

UNDER_CEILINGS = tuple(profile.name for profile in CEILINGS)
"""The profiles in which calls count in several ceilings."""

PROPER = tuple(f"proper {name}" for name in PROFILES if name not in ("misuse", "bad amounts"))
"""The profiles in which every handle is used once, and every amount is valid."""

MISUSES = ("misuse", "bad amounts")
"""The profiles that use handles twice, copy them, and offer invalid amounts."""


class NothingToDo(CapsoundError):
    """A driver was asked for that does not apply to the target."""

    name = "nothing-to-do"
    exit_status = EXIT_USAGE


def check(plan: Plan, progress: Callable[[str], None] = lambda _: None, stop: threading.Event | None = None) -> Checked:
    """Check a target in processes of this machine.

    Raises ``TargetFailed`` when it cannot be loaded. On Ctrl-C, or when ``stop`` is set elsewhere, what is known
    so far is returned, with a doubt.
    """
    ending = Ending(stop)
    with interpreter(plan.environment) as who, nursery(who) as forking:
        hands = Hands(
            plan.workers,
            partial(describe, plan, progress, forking, ending),
            partial(drive, plan, progress=progress, stop=ending, forking=forking),
        )
        return checked_by(plan, hands, ending)


def checked_by(plan: Plan, hands: Hands, stop: threading.Event) -> Checked:
    """Check a target by others: plan what they do, hear them out, and judge it here."""
    begin = time.monotonic()
    adapter = hands.describe()
    gathered = Gathered(
        waits=adapter["waits"],
        seed=plan.seed,
        blind="spent" not in adapter["offers"],
        no_zero="zero_is_unlimited" in adapter["claims"],
        evidence=Evidence(prepaid=is_prepaid(adapter), only_releases=not {"forfeit", "call"} & set(adapter["offers"])),
    )
    if is_prepaid(adapter) and "A1" not in adapter["assumes"]:
        gathered.notes.append("it is never told a bill: it can only be right if no bill exceeds its hold (A1)")
    if "eventual" in adapter["claims"]:
        gathered.doubt(_AT_REST, Guarantee.SEQUENTIAL)
    jobs = planned(plan, adapter)
    heard = [Heard(job) for job in jobs]
    turns = in_turns(heard, hands.count)
    shares = shared([one.job for one in turns])
    with ThreadPoolExecutor(hands.count) as pool:
        try:
            do = partial(give, hands=hands, heard=heard, end=begin + plan.seconds)
            for ended in [pool.submit(do, one, share) for one, share in zip(turns, shares, strict=True)]:
                ended.result()
            if stop.is_set():
                gathered.doubt(INTERRUPTED)
        except KeyboardInterrupt:
            gathered.doubt(INTERRUPTED)
        finally:  # whatever it was that ended this: no child goes on, and none is started
            stop.set()
            pool.shutdown(cancel_futures=True)
    merge(heard, gathered)
    exercised = gathered.informative or all(gathered.exercise.get(name, 0) for name in ("admitted", "sent"))
    all_shown = gathered.all_shown()
    if not all_shown and not gathered.doubted and not exercised:
        gathered.doubt("it was not exercised: no call was admitted, sent and settled")
    if gathered.overran is not None:
        sentence, program = gathered.overran
        gathered.note(f"where a bill does exceed its hold: {sentence}: capsound replay {plan.target} {token(program)}")
    if REQUESTS in adapter.get("dimensions", ()) and (raced := {j["job"] for j in jobs} & AT_REST):
        told = f"the cap on {REQUESTS} was not tried with operations that overlap"
        gathered.doubt(f"{told} ({', '.join(sorted(raced))} look at amounts)", Guarantee.CONCURRENT)
    if missed := [name for name in adapter.get("left_out", ()) if not plan.drivers or name in plan.drivers]:
        cure = "install capsound in the environment of the target, and check it there"
        at = min(GUARANTEE_OF_JOB.get(name, Guarantee.SEQUENTIAL) for name in missed)
        gathered.doubt(f"not tried, since they cannot work over a pipe: {', '.join(missed)} ({cure})", at)
    if not adapter.get("copies", True) and "affine" not in adapter["assumes"] and "misuse" in {j["job"] for j in jobs}:
        cure = "answer `copy`, and state in `claims` whether there are `copies`"
        gathered.doubt(
            f"copies of handles were not tried: the harness does not say whether there are any ({cure})", _OF_COPIES
        )
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


INTERRUPTED = "interrupted"
"""The doubt about a check that was ended before its time."""

_AT_REST = "it books after its answers: what is asked between an answer and its booking was not tried"
"""Why the order of its steps is not all that could happen: each begins when everything is booked."""

AT_REST = frozenset({"threads", "handlers", "history", "asyncio"})
"""The drivers that ask while something is under way, and would compare what is not booked yet."""

_OF_COPIES = GUARANTEE_OF_JOB["misuse"]
"""The weakest guarantee that a copy of a handle may refute."""

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
    timing = adapter.get("timing")
    if timing is not None:
        jobs += [{**base, "job": "programs", "profiles": IN_TIME[part::PARTS]} for part in range(PARTS)]
    if "ceiling" in adapter.get("offers", ()) or adapter.get("dimensions"):
        jobs += [{**base, "job": "programs", "profiles": UNDER_CEILINGS[part::PARTS]} for part in range(PARTS)]
    elif timing is None and not plan.python and not is_address(plan.target):
        jobs.append({**base, "job": "programs", "profiles": [PASSING.name], "clock": True, "passing": True})
        if not adapter["waits"]:  # what needs an event loop can be driven here only
            few = min(plan.programs, MOST_OVER_A_PIPE)
            jobs.append({**base, "programs": few, "job": "programs", "profiles": [UNSEEN.name], "elsewhere": True})
    jobs.append({**base, "job": "misuse", "profiles": MISUSES})
    claims = adapter["claims"]
    jobs += [{**base, "job": name} for name in ("threads", "handlers") if name in claims]
    jobs += [{**base, "job": "history"}] if "threads" in claims and adapter["gate"] != "call" else []
    jobs += [{**base, "job": "asyncio"}] if adapter["waits"] else []
    jobs.append({**base, "job": "precision"})
    if timing is not None and not {"clock", "reset"} & set(adapter["offers"]):
        jobs = [{**job, "clock": True} for job in jobs]  # it looks at the clocks of Python, which have to be ours
    if "eventual" in claims:
        jobs = [job for job in jobs if job["job"] not in AT_REST]
    jobs = [seen for job in jobs for seen in in_dimensions(job, adapter.get("dimensions", ()))]
    jobs = [part for job in jobs for part in in_parts(job, plan.seconds)]
    wanted = [job for job in jobs if job.get("profiles", True) and (not plan.drivers or job["job"] in plan.drivers)]
    if not wanted:
        raise NothingToDo(
            f"none of {', '.join(plan.drivers)} applies to {plan.target}",
            hint=f"it can be checked with: {', '.join(dict.fromkeys(job['job'] for job in jobs))}",
        )
    return wanted


MOST_OVER_A_PIPE = 1_000
"""How many programs are run where capsound cannot be seen: there one takes as long as twenty here."""

MOST = 1_000
"""How many programs of a profile one child runs: more are shared by several, whatever the number of workers."""

SHARED_BY = 20
"""How many children share them at most: each of those runs more, where there are more."""

_SECONDS = 30
"""For how many seconds of a check one more child is begun: each takes a part of a second before its first program."""


def in_parts(job: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Return a job in parts of ``MOST`` programs of each profile; one that runs no programs stays whole.

    Where there are many programs, or few seconds, the parts are fewer and larger.
    """
    if "profiles" not in job:
        return [dict(job)]
    programs = job["programs"]
    count = max(1, min(-(-programs // MOST), SHARED_BY, int(seconds // _SECONDS)))
    bounds = [programs * number // count for number in range(count + 1)]
    return [{**job, "programs": end - first, "first": first, "parts": count} for first, end in pairwise(bounds)]


def in_dimensions(job: Mapping[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a job for each dimension in which it looks at a budget: programs do so in all at once.

    Who races operations, and who counts what is refused, looks at one after the other. Amounts are not in requests: of
    those every call counts one.
    """
    if not names or job["job"] not in ONE_BY_ONE:
        return [dict(job)]
    seen = names[:1] if job["job"] == "precision" else [name for name in names if name != REQUESTS]
    return [{**job, "dimension": name} for name in seen]


def in_turns(heard: Sequence[Heard], count: int) -> list[Heard]:
    """Return jobs in the order in which they are begun: by several children the longest first, so that none is last.

    One child does them in their order, in which what hangs is found before threads are started in it.
    """
    return sorted(heard, key=lambda one: count > 1 and one.job["job"] not in _LONG and not one.job.get("elsewhere"))


_LONG = ("threads", "asyncio")
"""The drivers that take as long as all others."""

ONE_BY_ONE = frozenset({"threads", "handlers", "history", "asyncio", "precision"})
"""The drivers that look at one dimension at a time."""

_WEIGHTS = {"programs": 6, "misuse": 2, "threads": 3, "handlers": 2, "history": 1, "asyncio": 3, "precision": 1}


def shared(jobs: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return for each job which part it gets of the time that is left when its turn comes: every driver has a turn.

    What a job leaves is for those after it.
    """
    weights = [_WEIGHTS[str(job["job"])] / job.get("parts", 1) for job in jobs]
    return [weight / sum(weights[number:]) for number, weight in enumerate(weights)]
