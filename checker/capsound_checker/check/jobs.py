"""What a child can be asked for, one function a job: each drives a target and says what it finds as it finds it."""

from __future__ import annotations

import contextlib
import inspect
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from capsound.adapter import ASSUMABLE, Adapter, Gate, offers
from capsound.errors import nearest
from capsound_checker.check.judging import BRIEF, Tried, judge
from capsound_checker.check.racing import opens, race_handlers, race_threads, replay_race
from capsound_checker.check.runs import events_data, show
from capsound_checker.check.targets import awaits
from capsound_checker.check.voice import Voice
from capsound_checker.display.telling import error_data
from capsound_checker.histories.blame import contended
from capsound_checker.histories.recording import record
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
from capsound_checker.schedules import agents, asynchronous, concurrency
from capsound_checker.schedules.asynchronous import explore
from capsound_checker.schedules.interleave import Chance, Cut

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


def _history(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Record real runs of several threads until they have met often enough at the gate, and send each as it was heard.

    Every second run does without slices: what it shows needs none.
    """
    if not opens(adapter, voice):
        return
    until = time.monotonic() + request["seconds"] if request["seconds"] else None
    met, runs, late = 0, 0, False
    for number in range(RUNS):
        late = until is not None and time.monotonic() > until
        if late or (number >= FEWEST and met >= MEETINGS):
            break
        seed = request["seed"] + number
        voice.doing(f"history {seed}")
        noise = NOISES[number // 2 % len(NOISES)]
        heard = record(adapter, seed=seed, operations=300, duplicates=False, noise=noise, slices=number % 2 == 1)
        met, runs = met + contended(heard.operations), runs + 1
        voice.say("history", lines=list(heard.lines()))
    voice.say("recorded", runs=runs, late=late, wanted=MEETINGS if adapter.gate is not Gate.RECORD else 0)


RUNS, FEWEST = 36, 12
"""How many histories are recorded at most, and at least."""

MEETINGS = 600
"""How often two clients have to ask for admission at once, with one of them refused, before no race says anything."""

NOISES = (0.03, 0.15, 0.4)
"""How likely a client lets the others go first wherever a function is called: a race may need few stops, or many."""


def _asyncio(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Let real coroutines run on a loop that chooses who goes on."""
    voice.doing("asyncio")
    explored = explore(
        adapter, seconds=request["seconds"] or None, seed=request["seed"], schedules=request["schedules"]
    )
    for found in explored.findings:
        told = {"program": found.program.to_dict(), "choices": list(found.choices), "fifo": found.fifo}
        _say_replayed(adapter, told, voice)
    if not explored.needs:
        for scope in explored.scopes:
            _asyncio_samples(adapter, scope.program, request["seed"], voice)
    voice.say(
        "explored",
        schedules=explored.schedules,
        programs=len(explored.scopes),
        complete=sum(scope.complete for scope in explored.scopes),
        informative=explored.informative,
        needs=explored.needs,
        struck=explored.struck,
        **gate_evidence(adapter).to_dict(),
    )


def _asyncio_samples(adapter: type[Adapter], program: agents.Program, seed: int, voice: Voice) -> None:
    """Send a few schedules of a program as they were heard, for the other process to see what was tried."""
    for number in range(_SCHEDULES_TOLD):
        chooser = Chance(seed * 1_000 + number)
        with warnings.catch_warnings(), contextlib.suppress(Cut):
            warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that the library never awaits
            run = concurrency.run(adapter, program, chooser)
            told = {"program": program.to_dict(), "choices": list(chooser.choices), "fifo": False}
            voice.say("sample", program=[], events=events_data(run.record), story=run.story(), schedule=told)


_SCHEDULES_TOLD = 4
"""How many schedules of each program are told to the process that judges."""


def _say_replayed(adapter: type[Adapter], told: Mapping[str, Any], voice: Voice) -> None:
    program = agents.Program.from_dict(told["program"])
    run = asynchronous.replay(adapter, program, tuple(told["choices"]), fifo=told["fifo"])
    voice.say("run", program=[], events=events_data(run.record), story=run.story(), schedule=told)


def _replay_async(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Run the schedule of a token."""
    _say_replayed(adapter, request["schedule"], voice)


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


JOBS: Mapping[str, Callable[[type[Adapter], Mapping[str, Any], Voice], None]] = {
    "describe": _describe,
    "programs": _programs,
    "misuse": _programs,
    "threads": race_threads,
    "handlers": race_handlers,
    "history": _history,
    "asyncio": _asyncio,
    "precision": _precision,
    "replay asyncio": _replay_async,
    "trace": _trace,
    "replay": _replay,
    "replay race": replay_race,
}
