"""What a child can be asked for, one function a job: each drives a target and says what it finds as it finds it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from capsound.adapter import ASSUMABLE, Adapter, Gate, offers
from capsound.errors import nearest
from capsound.events import event_to_dict
from capsound_checker.check.judging import BRIEF, judge, shows
from capsound_checker.check.tokens import race_token
from capsound_checker.check.voice import Voice
from capsound_checker.display.telling import error_data
from capsound_checker.histories.blame import contended
from capsound_checker.histories.recording import record
from capsound_checker.programs import clock
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.evidence import gate_evidence
from capsound_checker.programs.lockstep import AdapterFailed, Lockstep
from capsound_checker.programs.precision import perform, workloads
from capsound_checker.programs.program import BEYOND, PROFILES, Profile, Step
from capsound_checker.programs.record import Record
from capsound_checker.programs.shrinking import shrink
from capsound_checker.programs.watch import SECONDS, patience
from capsound_checker.schedules import agents, asynchronous
from capsound_checker.schedules.asynchronous import explore
from capsound_checker.schedules.threads import BEFOREHAND, GATES, NEEDS_LOOP, Race, again, hunt, interrupt, pairs

SAMPLE = 60
"""How many programs of each profile are run to their end, whatever they show."""

TOLD = 12
"""How many of them are told to the process that judges."""


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
        waits=adapter.gate is Gate.CALL
        or any(inspect.iscoroutinefunction(getattr(adapter, o)) for o in offers(adapter)),
        assumes=_assumed(adapter),
        claims=[name for name in ("strict", "complete", "threads", "handlers") if getattr(adapter, name)],
    )


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

    def pace(profile: Profile, seeds: range) -> Iterator[int]:
        if hung:  # every further program may cost its time limit as well
            return
        left = len(chosen) - chosen.index(profile)
        end = None if until is None else time.monotonic() + max(0.0, until - time.monotonic()) / left
        for seed in seeds:
            if end is not None and time.monotonic() > end:
                late.append(profile.name)
                return
            spent[profile.name] = spent.get(profile.name, 0) + 1
            voice.doing(f"{profile.name} {seed}")
            yield seed

    def notice(name: str, program: list[Step]) -> None:
        if name == "hang":
            hung.append(name)
        voice.say("noticed", name=name, program=program)

    failures: list[AdapterFailed] = []
    told = judge(
        adapter,
        programs=request["programs"],
        seed=request["seed"],
        profiles=chosen,
        pace=pace,
        notice=notice,
        failures=failures,
    )
    for failed in failures:
        if request.get("large"):  # to take no such amounts is no fault
            voice.say("untaken", why=error_data(failed)["message"])
        else:
            voice.say("failed", **error_data(failed))
    also = [one for one in (told.first, told.refutation) if one is not None]
    with patience(BRIEF if hung else SECONDS):  # that it hangs was confirmed: nobody need wait for that again
        for program in dict.fromkeys(shown.program for shown in [*told.found.values(), *also]):
            _show(adapter, program, voice)
    for profile in [] if hung else chosen:
        _exercise(adapter, profile, request["seed"], voice)
    tried: dict[str, Any] = dict(gate_evidence(adapter).to_dict())
    varied = [f"hash seed {request.get('hashing', 0)}"]
    varied += ["time"] if clock.installed() else []
    varied += ["amounts from 2^31"] if request.get("large") and not failures else []
    voice.say(
        "programs", operations=told.operations, programs=spent, late=late, hung=bool(hung), varied=varied, **tried
    )


def _exercise(adapter: type[Adapter], profile: Profile, seed: int, voice: Voice) -> None:
    """Say of a few programs what happened in them: a target that nothing was asked of is not sound."""
    driver = Driver(adapter, profile)
    if not driver.table:
        return
    seen: set[str] = set()
    for number in range(SAMPLE):
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
                _show(adapter, shrink(run.steps, shows(adapter, name)), voice)
        if "hang" in seen:
            return
        if number < TOLD:
            voice.say("sample", program=run.steps, events=_events(run))


def _show(adapter: type[Adapter], program: Iterable[Step], voice: Voice) -> None:
    """Run a program once more, and send it with everything that was heard, for the other process to judge."""
    run = Lockstep(adapter())
    try:
        run.run(program)
    except AdapterFailed as failed:
        voice.say("failed", **error_data(failed))
        return
    voice.say("run", program=run.steps, events=_events(run), story=run.story())


def _events(run: Record) -> list[dict[str, object]]:
    return [event_to_dict(event) for event in run.events]


def _threads(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Two operations in two threads, every pair in turn."""
    most = request["schedules"]
    raced: dict[str, int] = {}
    found, count = hunt(
        adapter,
        most=most or 400_000,
        told=lambda one, two: voice.doing(f"threads {one.do} {two.do}"),
        raced=raced,
    )
    if found is not None:
        _say_race(found, voice)
    elif most is not None and most - count <= BEFOREHAND:  # too few were left for one more turn
        voice.say("cut", job="threads", schedules=count)
    gate = GATES[adapter.gate]
    voice.say(
        "schedules", job="threads", schedules=count, gate=gate, raced=0 if NEEDS_LOOP in raced else raced.get(gate, 0)
    )


def _say_race(race: Race, voice: Voice) -> None:
    job = "handlers" if race.handler else "threads"
    token = race_token(job, race.at, race.before, race.first, race.second)
    voice.say("race", anomaly=race.anomaly, sentence=race.sentence, story=race.story(), token=token)


def _replay_race(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Run the schedule of a token of two operations at once."""
    *before, one, two = [Step(*step) for step in request["program"]]
    handler = request["how"] == "handlers"
    found, count = again(adapter, before, one, two, request["place"], handler=handler)
    if found is not None:
        _say_race(found, voice)
    voice.say("schedules", job=request["how"], schedules=count)


def _handlers(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """One operation inside another, as in a signal handler."""
    count = 0
    most = request["schedules"]
    for before, one, two in pairs(adapter):
        if most is not None and count >= most:
            voice.say("cut", job="handlers", schedules=count)
            break
        voice.doing(f"handlers {one.do} {two.do}")
        found, schedules = interrupt(adapter, before, one, two, most=min(400, (most or 400_000) - count))
        count += schedules
        if found is not None:
            _say_race(found, voice)
            break
    voice.say("schedules", job="handlers", schedules=count)


def _history(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Record real runs of several threads until they have met often enough at the gate, and send each as it was heard.

    Every second run does without slices: what it shows needs none.
    """
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
    voice.say(
        "explored",
        schedules=explored.schedules,
        programs=len(explored.scopes),
        complete=sum(scope.complete for scope in explored.scopes),
        informative=explored.informative,
        needs=explored.needs,
        struck=explored.struck,
    )


def _say_replayed(adapter: type[Adapter], told: Mapping[str, Any], voice: Voice) -> None:
    program = agents.Program.from_dict(told["program"])
    run = asynchronous.replay(adapter, program, tuple(told["choices"]), fifo=told["fifo"])
    voice.say("run", program=[], events=_events(run.record), story=run.story(), schedule=told)


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
        voice.say("workload", number=number, events=_events(run))


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
    _show(adapter, [Step(*step) for step in request["program"]], voice)


JOBS: Mapping[str, Callable[[type[Adapter], Mapping[str, Any], Voice], None]] = {
    "describe": _describe,
    "programs": _programs,
    "misuse": _programs,
    "threads": _threads,
    "handlers": _handlers,
    "history": _history,
    "asyncio": _asyncio,
    "precision": _precision,
    "replay asyncio": _replay_async,
    "trace": _trace,
    "replay": _replay,
    "replay race": _replay_race,
}
