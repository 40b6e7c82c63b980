"""What a child can be asked for, one function a job: each drives a target and says what it finds as it finds it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from capsound.adapter import ASSUMABLE, Adapter, Gate, offers
from capsound.errors import nearest
from capsound_checker.check.judging import BRIEF, Tried, judge
from capsound_checker.check.runs import events_data, show
from capsound_checker.check.targets import awaits
from capsound_checker.check.voice import Voice
from capsound_checker.display.telling import error_data
from capsound_checker.programs import clock
from capsound_checker.programs.dimensions import dimensions
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.evidence import gate_evidence
from capsound_checker.programs.lockstep import AdapterFailed, Lockstep
from capsound_checker.programs.precision import perform, workloads
from capsound_checker.programs.program import BEYOND, CEILINGS, PROFILES, WINDOWS, Profile, Step, possible
from capsound_checker.programs.shrinking import shrink
from capsound_checker.programs.timing import timing
from capsound_checker.programs.watch import patience

SAMPLE = 60
"""How many programs of each profile are run to their end, whatever they show."""

TOLD = 12
"""How many of them are told to the process that judges."""

TOLD_OF_SLICES = 40
"""How many, where slices or time come into them: few of those could break what they are about."""


def _profile(name: str) -> Profile:
    """Return a profile by name; a ``proper`` one uses every handle once."""
    if name.startswith("proper "):
        return replace(PROFILES[name.removeprefix("proper ")], name=name, misuse=0)
    return PROFILES.get(name) or BEYOND[name]


def _describe(adapter: type[Adapter], _: Mapping[str, Any], voice: Voice) -> None:
    """Say what the adapter declares."""
    voice.say(
        "adapter",
        name=adapter.__name__,
        gate=adapter.gate.value,
        offers=sorted(offers(adapter)),
        waits=awaits(adapter),
        interruptible=adapter.gate is Gate.CALL or _is_coroutine(adapter, adapter.gate.value),
        assumes=_assumed(adapter),
        claims=[name for name in CLAIMS if getattr(adapter, name)],
        left_out=list(getattr(adapter, "left_out", ())),
        copies=_copies(adapter),
        **_timing(adapter),
        **({"dimensions": list(dimensions(adapter))} if dimensions(adapter) else {}),
    )


def _timing(adapter: type[Adapter]) -> dict[str, Any]:
    """Return what an adapter says of time; nothing where it says nothing."""
    told = timing(adapter)
    return {} if told is None else {"timing": told.to_dict()}


CLAIMS = ("strict", "complete", "threads", "handlers", "zero_is_unlimited", "eventual")
"""What an adapter can claim by a flag, in the order in which it is told."""


def _copies(adapter: type[Adapter]) -> bool:
    """Whether copies of handles are tried wherever the library gives any out."""
    told = getattr(adapter, "copies", True) is not None
    return told or not possible(adapter) & {"clone_hold", "clone_scope"}


def _is_coroutine(adapter: type[Adapter], operation: str) -> bool:
    return inspect.iscoroutinefunction(getattr(adapter, operation, None))


def _assumed(adapter: type[Adapter]) -> list[str]:
    for name in adapter.assumes:
        if name not in ASSUMABLE:
            raise AdapterFailed(
                f"{adapter.__name__}.assumes names {name!r}",
                cause=f"what can be assumed is: {', '.join(ASSUMABLE)}",
                hint=nearest(str(name), ASSUMABLE),
            )
    return sorted(set(adapter.assumes))


def _programs(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Hunt with the profiles that the request names, and say what each anomaly needs at least."""
    chosen = [_profile(name) for name in request["profiles"]]
    until = time.monotonic() + request["seconds"] if request["seconds"] else None
    late: list[str] = []
    spent: dict[str, int] = {}
    hung: list[str] = []
    through: list[Profile] = []

    def pace(profile: Profile, seeds: range) -> Iterator[int]:
        if hung:  # every further program may cost its time limit as well
            return
        left = len(chosen) - chosen.index(profile)
        end = None if until is None else time.monotonic() + max(0.0, until - time.monotonic()) / left
        try:
            for seed in seeds:
                if end is not None and time.monotonic() > end:
                    late.append(profile.name)
                    return
                spent[profile.name] = spent.get(profile.name, 0) + 1
                voice.doing(f"{profile.name} {seed}")
                yield seed
        finally:
            if not hung:  # what hangs in others can still be tried in this one
                through.append(profile)

    def notice(name: str, run: Lockstep) -> None:
        if name == "hang":
            hung.append(name)
        voice.say("noticed", name=name, program=run.steps, events=events_data(run))

    failures: list[tuple[Profile, AdapterFailed]] = []
    told = judge(
        adapter,
        programs=request["programs"],
        seed=request["seed"],
        begin=request.get("first", 0),
        profiles=chosen,
        pace=pace,
        notice=notice,
        failures=failures,
    )
    for profile, failed in failures:
        if request.get("large"):  # to take no such amounts is no fault
            voice.say("untaken", why=error_data(failed)["message"])
        elif request.get("elsewhere"):  # here it could be driven
            voice.say("unmoved", why=error_data(failed)["message"])
        else:
            voice.say("failed", profile=profile.name, **error_data(failed))
    also = [one for one in (told.first, told.refutation) if one is not None]
    with patience(BRIEF if hung else None):  # that it hangs was confirmed: nobody need wait for that again
        for program in dict.fromkeys(shown.program for shown in [*told.found.values(), *also]):
            show(adapter, program, voice)
    known = Tried(adapter)  # with all patience, where the hunt had little
    if not request.get("first"):  # of several parts the first does it
        for profile in through if hung else chosen:
            _exercise(adapter, profile, request["seed"], request["programs"], voice, known)
    tried: dict[str, Any] = dict(gate_evidence(adapter).to_dict())
    varied = [f"hash seed {request.get('hashing', 0)}"]
    varied += ["time"] if clock.installed() or any(profile in WINDOWS for profile in chosen) else []
    varied += ["whether capsound is loaded"] if request.get("elsewhere") and not failures else []
    varied += ["amounts from 2^31"] if request.get("large") and not failures else []
    voice.say(
        "programs", operations=told.operations, programs=spent, late=late, hung=bool(hung), varied=varied, **tried
    )


def _exercise(adapter: type[Adapter], profile: Profile, seed: int, most: int, voice: Voice, known: Tried) -> None:
    """Say of a few programs what happened in them: a target that nothing was asked of is not sound.

    Who asked for few programs (``most``), since each takes long, gets few of them.
    """
    driver = Driver(adapter, profile)
    if not driver.table:
        return
    seen: set[str] = set()
    for number in range(min(SAMPLE, 3 * most)):
        data = driver.bytes_of(seed * 1_000 + number)
        voice.doing(f"{profile.name} {number}")
        run = Lockstep(adapter())
        try:
            run.do(driver.opening(data))
            for step in driver.decoded(run, data[1:]):
                run.do(step)
            run.finish()
        except AdapterFailed:
            return
        finally:
            run.drop()
        for name in dict.fromkeys(finding.anomaly for finding in run.wrong()):  # the hunt was cut short, or unlucky
            if name not in seen:
                seen.add(name)
                show(adapter, shrink(run.steps, known.shows(name)), voice)
        if "hang" in seen:
            return
        if number < (TOLD_OF_SLICES if "delegate" in driver.table or profile in (*WINDOWS, *CEILINGS) else TOLD):
            voice.say("sample", program=run.steps, events=events_data(run))


def _precision(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Offer workloads to the target, and send each as it was heard."""
    until = time.monotonic() + request["seconds"] if request["seconds"] else None
    for number, workload in enumerate(workloads(request["seed"])):
        if until is not None and time.monotonic() > until:
            break
        voice.doing(f"precision {number}")
        run = Lockstep(adapter())
        try:
            perform(run, workload)
        finally:
            run.drop()
        voice.say("workload", number=number, events=events_data(run))


def _trace(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Run one program, saying each step before it is done: whoever kills the process is named by the last."""
    profile, seed = _profile(request["profile"]), int(request["seed"])

    class Told(Lockstep):
        def do(self, step: Step) -> Any:
            voice.say("step", step=step)
            return super().do(step)

    driver = Driver(adapter, profile)
    data = driver.bytes_of(seed)
    run = Told(adapter())
    run.do(driver.opening(data))
    for step in driver.decoded(run, data[1:]):
        run.do(step)
    run.finish()


def _replay(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Run the program of a token."""
    show(adapter, [Step(*step) for step in request["program"]], voice)


Job = Callable[[type[Adapter], Mapping[str, Any], Voice], None]

_HERE: Mapping[str, Job] = {
    "describe": _describe,
    "programs": _programs,
    "misuse": _programs,
    "precision": _precision,
    "trace": _trace,
    "replay": _replay,
}

_WITH_AN_ENGINE = {
    "threads": "racing:race_threads",
    "handlers": "racing:race_handlers",
    "replay race": "racing:replay_race",
    "history": "recorded:history",
    "asyncio": "looping:explore_loop",
    "replay asyncio": "looping:replay_loop",
}
"""The jobs that need an engine which the others do without, each in a module of this wing."""


def job_named(name: str) -> Job:
    """Return a job; what it needs of ours is imported now, before there is a target."""
    if name in _HERE:
        return _HERE[name]
    module, _, function = _WITH_AN_ENGINE[name].partition(":")
    found: Job = getattr(import_module(f"capsound_checker.check.{module}"), function)
    return found
