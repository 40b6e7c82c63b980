"""The process that drives a target: it loads it, runs the engines, and says what it finds as it finds it.

It trusts nothing of the target and is trusted with nothing: whatever it claims to have found is a program and a list of
events, which the process that judges folds again through its own monitor.
"""

from __future__ import annotations

import inspect
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from capsound.adapter import ASSUMABLE, Adapter, Gate, offers
from capsound.errors import CapsoundError, nearest
from capsound.events import event_to_dict
from capsound_checker.check.judging import BRIEF, judge, shows
from capsound_checker.check.targets import load, parse
from capsound_checker.check.tokens import race_token
from capsound_checker.display.telling import error_data
from capsound_checker.histories.recording import record
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.evidence import gate_evidence
from capsound_checker.programs.lockstep import AdapterFailed, Lockstep
from capsound_checker.programs.precision import perform, workloads
from capsound_checker.programs.program import PROFILES, Profile, Step
from capsound_checker.programs.record import Record
from capsound_checker.programs.shrinking import shrink
from capsound_checker.programs.watch import SECONDS, patience, pulse
from capsound_checker.remote.client import remote, remote_adapter
from capsound_checker.remote.isolation import limit_memory
from capsound_checker.remote.lifeline import end_with
from capsound_checker.remote.process import is_address, python_address
from capsound_checker.schedules import agents, asynchronous
from capsound_checker.schedules.asynchronous import explore
from capsound_checker.schedules.threads import BEFOREHAND, Race, again, hunt, interrupt, pairs

SAMPLE = 60
"""How many programs of each profile are run to their end, whatever they show."""

TOLD = 12
"""How many of them are told to the process that judges."""


@dataclass
class Voice:
    """The pipe to the process that judges, and the file that says which program is being run."""

    pipe: int
    at: int
    where: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, what: str, **data: object) -> None:
        """Send one message."""
        line = json.dumps({"say": what, **data}).encode() + b"\n"
        with self.lock:
            while line:
                line = line[os.write(self.pipe, line) :]

    def doing(self, where: str) -> None:
        """Note which program comes next: read by whoever finds this process dead."""
        self.where = where
        os.pwrite(self.at, where.encode().ljust(60)[:60], 0)

    def beat(self) -> None:
        """Show for ever that this process is alive, as long as something in it moves."""
        last = -1
        while True:
            if pulse[0] != last:
                last = pulse[0]
                self.say("beat", where=self.where)
            time.sleep(_BEAT)


_BEAT = 0.25


def main() -> None:
    """Do what the request on standard input asks for."""
    request = json.loads(sys.stdin.buffer.read())
    end_with(int(request["parent"]))
    voice = Voice(int(sys.argv[1]), int(request["at"]))
    _quiet()
    os.environ.pop("PYTHONPATH", None)  # it was for this process: another interpreter would break on it
    if request["pythonpath"] is not None:
        os.environ["PYTHONPATH"] = request["pythonpath"]
    if not request["python"] and not is_address(request["target"]):  # else it is not here that memory is eaten
        limit_memory(int(request["memory"]))
    before = _fingerprint()
    threading.Thread(target=voice.beat, daemon=True).start()
    try:
        adapter = _target(request["target"], request["python"])
        JOBS[request["job"]](adapter, request, voice)
    except CapsoundError as error:
        voice.say("failed", **error_data(error))
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of a target are no orders
        told = "".join(traceback.format_exception(error)[-6:])
        voice.say("broke", error=f"{type(error).__name__}: {error}", trace=told, ours=_is_ours(error))
    after = _fingerprint()  # of a module that the target itself has imported nothing is used
    voice.say("end", intact=all(after.get(name) == number for name, number in before.items()))
    os._exit(0)  # threads and exit handlers of the target have no say in it


def _target(text: str, python: str) -> type[Adapter]:
    """Return the adapter: of this interpreter, of another one, or over a command that speaks the protocol."""
    if is_address(text):
        return remote_adapter(text)
    target = parse(text)
    return remote(python_address(python, str(target))) if python else load(target)


def _quiet() -> None:
    """Leave nothing on standard input that a target could wait for."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = io.StringIO()


def _is_ours(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and "capsound_checker" in frames[-1].filename and not isinstance(error, MemoryError)


# ------------------------------------------------------------------------------------------ what is changed


def _fingerprint() -> dict[str, int]:
    """Return what our modules and their classes consist of: a target that replaces a part of them is noticed.

    All that a run needs is imported with this module, so that nothing of ours comes after the target.
    """
    out: dict[str, int] = {}
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] not in ("capsound", "capsound_checker") or module is None:
            continue
        for attribute, value in vars(module).items():
            if attribute.startswith("__") or not callable(value):
                continue
            out[f"{name}.{attribute}"] = id(value)
            if isinstance(value, type) and value.__module__ == name:
                for inner, part in vars(value).items():
                    if callable(part) or isinstance(part, property | classmethod | staticmethod):
                        out[f"{name}.{attribute}.{inner}"] = id(part)
                        code = getattr(part, "__code__", None)
                        out[f"{name}.{attribute}.{inner}()"] = id(code)
            else:
                out[f"{name}.{attribute}()"] = id(getattr(value, "__code__", None))
    return out


# ------------------------------------------------------------------------------------------------- the jobs


def _profile(name: str) -> Profile:
    """Return a profile by name; a ``proper`` one uses every handle once."""
    if name.startswith("proper "):
        return replace(PROFILES[name.removeprefix("proper ")], name=name, misuse=0)
    return PROFILES[name]


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
        voice.say("failed", **error_data(failed))
    also = [one for one in (told.first, told.refutation) if one is not None]
    with patience(BRIEF if hung else SECONDS):  # that it hangs was confirmed: nobody need wait for that again
        for program in dict.fromkeys(shown.program for shown in [*told.found.values(), *also]):
            _show(adapter, program, voice)
    for profile in [] if hung else chosen:
        _exercise(adapter, profile, request["seed"], voice)
    tried = gate_evidence(adapter).to_dict()
    voice.say("programs", operations=told.operations, programs=spent, late=late, hung=bool(hung), **tried)


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
    found, count = hunt(adapter, most=most or 400_000, told=lambda one, two: voice.doing(f"threads {one.do} {two.do}"))
    if found is not None:
        _say_race(found, voice)
    elif most is not None and most - count <= BEFOREHAND:  # too few were left for one more turn
        voice.say("cut", job="threads", schedules=count)
    voice.say("schedules", job="threads", schedules=count)


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
    """Record real runs of several threads, and send each as it was heard."""
    until = time.monotonic() + request["seconds"] if request["seconds"] else None
    for seed in range(request["seed"], request["seed"] + RUNS):
        if until is not None and time.monotonic() > until:
            break
        voice.doing(f"history {seed}")
        voice.say("history", lines=list(record(adapter, seed=seed, operations=600, duplicates=False).lines()))


RUNS = 3
"""How many histories are recorded."""


def _asyncio(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Let real coroutines run on a loop that chooses who goes on."""
    voice.doing("asyncio")
    seconds = min(request["seconds"] or _ASYNC, _ASYNC)
    explored = explore(adapter, seconds=seconds, seed=request["seed"], schedules=request["schedules"])
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
    )


_ASYNC = 20.0
"""How many seconds at most are given to schedules of asyncio."""


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

if __name__ == "__main__":
    main()
