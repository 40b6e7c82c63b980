"""``capsound check``: somebody else's implementation against the model, in processes of its own.

A child drives the target and says what it finds; this process believes none of it. It folds every run that a child
sends through its own monitor, and only what that finds counts. ``sound`` needs more than silence: every child came to
its end, nothing of ours was replaced, no exception went unclassified, and calls were admitted and sent.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from capsound.adapter import Adapter
from capsound.errors import EXIT_BAD_INPUT, EXIT_OUR_BUG, EXIT_USAGE, CapsoundError, nearest
from capsound.events import event_from_dict
from capsound.guarantees import Guarantee
from capsound.monitor import Monitor
from capsound.verdict import Verdict
from capsound_checker.check.tokens import (
    ASYNC_PREFIX,
    RACE_PREFIX,
    async_token,
    parse_async_token,
    parse_race_token,
    parse_token,
    token,
)
from capsound_checker.histories.history import History
from capsound_checker.histories.history import check as check_history
from capsound_checker.programs.lockstep import NO_LOOP, Lockstep
from capsound_checker.programs.precision import Precision, measured, workloads
from capsound_checker.programs.program import PROFILES, Step, call
from capsound_checker.remote.isolation import Child, Ended

PROPER = tuple(f"proper {name}" for name in PROFILES if name not in ("misuse", "bad amounts"))
"""The profiles in which every handle is used once, and every amount is one."""

MISUSES = ("misuse", "bad amounts")
"""The profiles that use handles twice, copy them, and offer what is no amount."""


DRIVERS = ("programs", "misuse", "threads", "handlers", "history", "asyncio", "precision")
"""Who chooses the schedule: programs, properly or not; two operations at once; a real run; a loop; workloads."""


class NothingToDo(CapsoundError):
    """A driver was asked for that does not apply to the target."""

    name = "nothing-to-do"
    exit_status = EXIT_USAGE


class BadGuarantee(CapsoundError):
    """A guarantee was required that does not exist."""

    name = "bad-guarantee"
    exit_status = EXIT_USAGE


class TargetFailed(CapsoundError):
    """The target could not be loaded: the message is that of the process that tried."""

    name = "target-failed"
    exit_status = EXIT_BAD_INPUT


class CheckerFailed(CapsoundError):
    """A process of ours failed at a place of ours."""

    name = "checker-failed"
    exit_status = EXIT_OUR_BUG


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be checked, how long, and in how many processes."""

    target: str
    programs: int = 1_000
    seconds: float = 60.0
    seed: int = 0
    workers: int = 1
    memory: int = 2_048
    silence: float = 6.0
    require: Guarantee = Guarantee.OVERRUN_BOUNDED
    python: str = ""
    """The interpreter in whose environment the adapter is loaded; this one where it is empty."""
    drivers: tuple[str, ...] = ()
    """Which of ``DRIVERS`` to use; all that apply where it is empty."""
    schedules: int | None = None
    """How many schedules to run at most, of each driver that runs schedules; None for no bound but time."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One anomaly, by the smallest run that was found for it."""

    anomaly: str
    sentence: str
    program: tuple[Step, ...] = ()
    story: str = ""
    refutes: Guarantee | None = None
    without: frozenset[str] = frozenset()
    """What an implementation might assume and this run does not keep (``capsound.adapter.ASSUMABLE``)."""
    at: int = 0
    """By how many events it shows."""
    schedule: str = ""
    """The token of a schedule of asyncio, or of two operations at once."""
    events: tuple[Mapping[str, Any], ...] = ()
    """What was heard, where it was judged as events."""
    recorded: tuple[str, ...] = ()
    """The lines of a run that was recorded: it cannot be run again, but judged."""
    driver: str = ""
    """Which driver of threads has found it, if one of them did."""

    @property
    def misuse(self) -> bool:
        """Whether a handle is used twice or copied in it, or what is no amount is given as one."""
        return "affine" in self.without

    @property
    def token(self) -> str:
        """What ``capsound replay`` runs again; empty for a run that was recorded."""
        return token(self.program) if self.program else self.schedule


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check: data first, every rendering is a function of it."""

    plan: Plan
    adapter: Mapping[str, Any]
    shown: tuple[Shown, ...]
    refutations: tuple[tuple[Guarantee, frozenset[str]], ...]
    """What was refuted, each with what its run did not keep."""
    doubts: tuple[str, ...]
    """Why a check that found nothing would still not be ``sound``."""
    notes: tuple[str, ...]
    exercise: Mapping[str, int]
    programs: Mapping[str, int]
    operations: int
    schedules: Mapping[str, int]
    precision: Precision
    seconds: float

    @property
    def assumes(self) -> frozenset[str]:
        """What the adapter says that the implementation assumes: the verdict is relative to it."""
        return frozenset(self.adapter["assumes"])

    def counts(self, shown: Shown) -> bool:
        """Whether a finding is the implementation's fault: its run keeps what the implementation assumes."""
        return not shown.without & self.assumes

    @property
    def faults(self) -> tuple[Shown, ...]:
        """The findings that decide the verdict."""
        return tuple(filter(self.counts, self.shown))

    @property
    def verdict(self) -> Verdict:
        """``violated`` as soon as there is a fault, ``sound`` only where nothing is left to doubt."""
        if self.faults:
            return Verdict.VIOLATED
        return Verdict.UNKNOWN if self.doubts else Verdict.SOUND

    def refuted_under(self, assumed: frozenset[str]) -> Guarantee | None:
        """Return the weakest guarantee that is refuted by a run which keeps what is ``assumed``."""
        return min((g for g, without in self.refutations if not without & assumed), default=None)

    def strongest_under(self, assumed: frozenset[str]) -> Guarantee:
        """Return the strongest guarantee that no run refutes which keeps what is ``assumed``."""
        refuted = self.refuted_under(assumed)
        return Guarantee.OVERRUN_BOUNDED if refuted is None else Guarantee(refuted - 1)

    @property
    def refuted(self) -> Guarantee | None:
        """The weakest guarantee that is refuted, relative to what the implementation assumes."""
        return self.refuted_under(self.assumes)

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that nothing refutes, relative to what the implementation assumes."""
        return self.strongest_under(self.assumes)

    @property
    def exit_status(self) -> int:
        """0 where what is required is kept, though something above it may be refuted."""
        if self.plan.require is not Guarantee.OVERRUN_BOUNDED and self.faults and not self.doubts:
            return 0 if self.strongest >= self.plan.require else 1
        return self.verdict.exit_status

    def untried(self) -> dict[Guarantee, str]:
        """Return the guarantees that could not be tried, and what the adapter would have to offer."""
        mine = set(self.adapter["offers"])
        out: dict[Guarantee, str] = {}
        if "delegate" not in mine:
            out[Guarantee.DELEGATED] = "it offers no delegate"
        if not mine & {"forfeit", "release", "call"}:
            out[Guarantee.FAULT_TOLERANT] = "it offers no release, forfeit or call"
        return out


# ------------------------------------------------------------------------------------------------ judging


class _Nobody(Adapter):
    """Stands where an adapter is expected and is never asked."""


def _folded(message: Mapping[str, Any]) -> Lockstep:
    """Return a run in which this process has heard what a child has heard, by the readable monitor."""
    run = Lockstep(_Nobody(), monitor=Monitor())
    for data in message["events"]:
        run.tell(event_from_dict(data))
    return run


def judged(message: Mapping[str, Any]) -> list[Shown]:
    """Fold a run that a child has sent; return what is wrong in it, as seen by this process."""
    run = _folded(message)
    known = {(f.anomaly, f.facts) for f in run.findings}
    report = run.report()
    left = [f for f in report.findings if f.anomaly == "stranded" and (f.anomaly, f.facts) not in known]
    program = tuple(Step(*step) for step in message["program"])
    out: dict[str, Shown] = {}
    broken = {"A1"} if report.exercise.overran else set()
    without = frozenset(broken | ({"affine"} if is_misuse(program) else set()))
    schedule = message.get("schedule")
    reordered = schedule is not None and not schedule["fifo"]
    for finding in [*run.wrong(), *left]:
        out.setdefault(
            finding.anomaly,
            Shown(
                finding.anomaly,
                finding.sentence + (REORDERED if reordered else ""),
                program,
                message.get("story") or "\n".join(map(json.dumps, message["events"])),
                report.refuted,
                without=without,
                at=finding.step,
                schedule=async_token(schedule) if schedule is not None else "",
                events=tuple(message["events"]),
            ),
        )
    return list(out.values())


REORDERED = "; only where wake-ups are reordered, not on the standard loop"


def is_misuse(program: Sequence[Step]) -> bool:
    """Whether a program uses a handle that it has used up, copies one, or offers what is no amount.

    To release what was sent is none of it: whoever is cancelled does that, and a budget has to know better.
    """
    ended: set[int] = set()
    closed: set[int] = set()
    for step in program:
        match step.do:
            case "clone_hold" | "clone_scope" | "bad":
                return True
            case "settle" | "release" | "forfeit" | "send" | "extend":
                if step.on in ended:
                    return True
                if step.do not in ("send", "extend"):
                    ended.add(step.on)
            case "reserve" | "begin" | "delegate" | "close" | "merge":
                if step.on in closed or (step.do == "merge" and (step.new in closed or step.new == step.on)):
                    return True
                if step.do in ("close", "merge"):
                    closed.add(step.on if step.do == "close" else step.new)
    return False


@dataclass
class _Gathered:
    """What the children have said so far."""

    shown: dict[str, Shown] = field(default_factory=dict)
    refutations: list[tuple[Guarantee, frozenset[str]]] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    exercise: dict[str, int] = field(default_factory=dict)
    programs: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    schedules: dict[str, int] = field(default_factory=dict)
    noticed: dict[str, list[Step]] = field(default_factory=dict)
    waits: bool = False
    informative: bool = False
    """Whether a driver other than the programs has brought the target to admit something."""
    schedules_shown: dict[str, Shown] = field(default_factory=dict)
    broken: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    deaf: bool = False
    """Whether a child fell silent: every further one would cost as long again."""
    seed: int = 0
    precision: Precision = Precision()
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Several children are heard at once, each in a thread."""

    def hear(self, job: str, message: Mapping[str, Any]) -> None:
        """Take one message."""
        match message["say"]:
            case "run":
                self._run(message)
            case "noticed":
                program = [Step(*step) for step in message["program"]]
                known = self.noticed.get(message["name"])
                if known is None or len(program) < len(known):
                    self.noticed[message["name"]] = program
            case "race":
                self._at_once(job, message["anomaly"], message["sentence"], message["story"], message["token"])
            case "workload":
                events = [event_from_dict(data) for data in message["events"]]
                self.precision += measured(workloads(self.seed)[message["number"]], events)
            case "history":
                self._history(message["lines"])
            case "sample":
                self._sample(message)
            case "programs":
                self.operations += message["operations"]
                self.programs.update(message["programs"])
                if message["hung"]:
                    self._note(f"it hangs: nothing was tried after that ({job})")
                if message["late"]:
                    self._note(f"the time was over before all programs were run: {', '.join(message['late'])}")
            case "schedules":
                self.schedules[message["job"]] = message["schedules"]
                self.informative = self.informative or message["schedules"] > 0
            case "cut":
                told = f"{message['schedules']:,} schedules run, of two operations at once each"
                self._note(f"{message['job']}: not all pairs of operations were tried, {told}")
            case "explored":
                self.schedules["asyncio"] = message["schedules"]
                self.informative = self.informative or message["informative"]
                covered = f"asyncio: all schedules of {message['complete']} of {message['programs']} programs"
                self._note(f"{covered}, {message['schedules']:,} run")
                if message["needs"]:
                    self._doubt(message["needs"])
            case "failed" if message["cause"] == NO_LOOP and self.waits:
                self._note("it awaits what needs an event loop: driven by asyncio alone")
            case "failed":
                doubt = f"{message['name']}: {message['message']}"
                cure = "; ".join(part for part in (message["cause"], message["hint"]) if part)
                self._doubt(f"{doubt} ({cure})" if cure else doubt)
            case "broke":
                self.broken[job] = message
            case "end":
                broken = self.broken.pop(job, None)
                if not message["intact"]:
                    self._doubt("the target replaces parts of capsound in its process: what it reports shows nothing")
                elif broken is not None and broken["ours"]:
                    raise CheckerFailed(
                        f"capsound failed while it drove the target: {broken['error']}", cause=broken["trace"]
                    )
                elif broken is not None:
                    self._doubt(f"it let out what an adapter cannot classify: {broken['error']}")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _doubt(self, text: str) -> None:
        if text not in self.doubts:
            self.doubts.append(text)

    def _run(self, message: Mapping[str, Any]) -> None:
        for shown in judged(message):
            self._refute(shown.refutes, shown.without)
            if shown.schedule:
                self.schedules_shown.setdefault(shown.anomaly, shown)
                continue
            known = self.shown.get(shown.anomaly)
            if known is None or _size(shown) < _size(known):
                self.shown[shown.anomaly] = shown

    def _refute(self, guarantee: Guarantee | None, without: frozenset[str] = frozenset()) -> None:
        if guarantee is not None and (guarantee, without) not in self.refutations:
            self.refutations.append((guarantee, without))

    def _at_once(
        self, job: str, anomaly: str, sentence: str, story: str, token: str, recorded: Sequence[str] = ()
    ) -> None:
        """Take what several threads did: it refutes that calls may overlap, and is no program."""
        self._refute(Guarantee.CONCURRENT)
        shown = Shown(
            anomaly, sentence, (), story, Guarantee.CONCURRENT, schedule=token, recorded=tuple(recorded), driver=job
        )
        self.shown.setdefault(f"{anomaly}, {job}", shown)

    def _history(self, lines: Sequence[str]) -> None:
        """Ask whether some order explains a recorded run; it cannot be run again, so that it is shown as it was."""
        found = check_history(History.read(lines, "the recorded run"))
        self.schedules["history"] = self.schedules.get("history", 0) + 1
        self.informative = self.informative or found.admitted > 0
        if found.verdict is Verdict.VIOLATED:
            window = "\n".join(found.window)
            self._at_once("history", found.anomaly or "history", found.sentence, window, "", lines)

    def _sample(self, message: Mapping[str, Any]) -> None:
        exercise = _folded(message).report().exercise
        for name in ("admitted", "refused", "sent", "settled", "delegated", "faults"):
            self.exercise[name] = self.exercise.get(name, 0) + getattr(exercise, name)
        for shown in judged(message):  # a child that saw nothing here was lying, or was lied to
            self.shown.setdefault(shown.anomaly, shown)
            self._refute(shown.refutes, shown.without)


def _size(shown: Shown) -> tuple[bool, int, int, tuple[Step, ...]]:
    """Order what shows the same; the program itself decides last, so that no order of messages does."""
    return shown.misuse, len(shown.program), sum(step.amount + step.bill for step in shown.program), shown.program


# ---------------------------------------------------------------------------------------------- the check


def check(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Checked:
    """Check a target.

    Raises ``TargetFailed`` when it cannot be loaded. On Ctrl-C what is known so far is returned, with a doubt.
    """
    begin = time.monotonic()
    adapter = describe(plan)
    gathered = _Gathered(waits=adapter["waits"], seed=plan.seed)
    jobs = _jobs(plan, adapter)
    end = begin + plan.seconds
    stop = threading.Event()
    with ThreadPoolExecutor(plan.workers) as pool:
        try:
            for ended in [pool.submit(_do, plan, job, gathered, end, progress, stop) for job in jobs]:
                ended.result()
        except KeyboardInterrupt:
            gathered.doubts.append("interrupted")
        finally:  # whatever it was that ended this: no child goes on, and none is started
            stop.set()
            pool.shutdown(cancel_futures=True)
    for name, shown in gathered.schedules_shown.items():
        if name not in gathered.shown:
            gathered.shown[name] = shown
    exercised = gathered.informative or all(gathered.exercise.get(name, 0) for name in ("admitted", "sent"))
    if not gathered.shown and not gathered.doubts and not exercised:
        gathered.doubts.append("it was not exercised: no call was admitted, sent and settled")
    for name, program in sorted(gathered.noticed.items()):
        if name not in gathered.shown and gathered.doubts:
            sentence = "found before the process came to its end; not shrunk"
            gathered.shown[name] = Shown(name, sentence, tuple(program))
    return Checked(
        plan,
        adapter,
        tuple(sorted(gathered.shown.values(), key=lambda s: (s.misuse, len(s.program), s.at, s.anomaly))),
        tuple(sorted(gathered.refutations, key=lambda r: (r[0], sorted(r[1])))),
        tuple(gathered.doubts),
        tuple(gathered.notes),
        gathered.exercise,
        gathered.programs,
        gathered.operations,
        gathered.schedules,
        gathered.precision,
        time.monotonic() - begin,
    )


def describe(plan: Plan) -> dict[str, Any]:
    """Load the target in a process of its own, and return what its adapter declares; raises ``TargetFailed``."""
    said: list[dict[str, Any]] = []
    ended, _ = _child(plan, {"job": "describe"}, said.append, time.monotonic() + max(20.0, plan.silence))
    for message in said:
        if message["say"] == "adapter":
            return message
        if message["say"] == "failed":
            raise TargetFailed(message["message"], where=message["where"], cause=message["cause"], hint=message["hint"])
        if message["say"] == "broke":
            raise TargetFailed(f"{plan.target} cannot be loaded: {message['error']}", cause=message["trace"])
    printed = f"it printed: {ended.printed[-1]}" if ended.printed else ""
    raise TargetFailed(f"{plan.target} cannot be loaded: {ended.words}", cause=printed)


def _jobs(plan: Plan, adapter: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the children are asked for; the profiles are dealt out to as many as there are workers."""
    base = {"programs": plan.programs, "seed": plan.seed, "schedules": plan.schedules}
    jobs: list[dict[str, Any]] = []
    for worker in range(plan.workers):
        jobs.append({**base, "job": "programs", "profiles": PROPER[worker :: plan.workers]})
        if mine := MISUSES[worker :: plan.workers]:
            jobs.append({**base, "job": "misuse", "profiles": mine})
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


def _do(
    plan: Plan,
    job: Mapping[str, Any],
    gathered: _Gathered,
    end: float,
    progress: Callable[[str], None],
    stop: threading.Event,
) -> None:
    name = str(job["job"])
    left = end - time.monotonic()
    if left <= 0:
        gathered.notes.append(f"the time was over before {name} was tried")
        return
    if "hang" in gathered.noticed or gathered.deaf:
        gathered.notes.append(f"it hangs: {name} was not tried")
        return

    def hear(message: dict[str, Any]) -> None:
        with gathered.lock:
            gathered.hear(name, message)
        if message["say"] == "beat":
            progress(f"{name}: {message['where']}, {len(gathered.noticed)} anomalies")

    # The child is asked to be done in time, and has as long again to shrink what it found.
    request = {**job, "seconds": left * _HUNTING}
    ended, where = _child(plan, request, hear, time.monotonic() + 2 * left + plan.silence, stop)
    gathered.deaf = gathered.deaf or ended.how == "silent"
    if ended.how not in ("done", "stopped"):
        gathered.doubts.append(_evidence(plan, ended, where, name))


_HUNTING = 0.7

_AGAIN = 4
"""How many programs are tried to show where a process came to its end."""


def _evidence(plan: Plan, ended: Ended, where: str, job: str) -> str:
    """Return what is known of a child that did not come to its end: the step in which it happens, if it does again."""
    printed = f"; it printed: {ended.printed[-1]}" if ended.printed else ""
    profile, _, seed = where.rpartition(" ")
    # It may have hung where each operation is tried once, before that program: then one of the next does the same.
    for number in range(_AGAIN) if job in ("programs", "misuse") and seed.isdigit() else ():
        steps: list[Step] = []

        def hear(message: dict[str, Any], steps: list[Step] = steps) -> None:
            if message["say"] == "step":
                steps.append(Step(*message["step"]))

        request = {"job": "trace", "profile": profile, "seed": int(seed) + number}
        again, _ = _child(plan, request, hear, time.monotonic() + plan.silence / 2)
        if again.how != "done" and steps:
            program = "; ".join(call(step) for step in steps)
            return f"{ended.words}, in the last step of: {program}{printed}"
    return f"{ended.words}, at {where or 'its start'}{printed}"


def _child(
    plan: Plan,
    request: Mapping[str, Any],
    hear: Callable[[dict[str, Any]], None],
    until: float,
    stop: threading.Event | None = None,
) -> tuple[Ended, str]:
    """Run a child; return how it ended, and which program it was at."""
    with tempfile.TemporaryFile() as at:
        full = {**request, "target": plan.target, "python": plan.python, "at": at.fileno()}
        child = Child(full, plan.memory, (at.fileno(),), plan.silence, stop or threading.Event())
        ended = child.run(hear, until)
        return ended, os.pread(at.fileno(), 60, 0).decode(errors="replace").strip()


def replay(plan: Plan, request: Mapping[str, Any]) -> tuple[list[Shown], Mapping[str, Any] | None, list[str]]:
    """Run a program again; return what is wrong in it, the run, and what stood in the way."""
    gathered, runs = _Gathered(), []

    def hear(message: dict[str, Any]) -> None:
        if message["say"] == "run":
            runs.append(message)
        else:
            gathered.hear("replay", message)

    ended, _ = _child(plan, request, hear, time.monotonic() + 2 * plan.silence)
    if ended.how != "done":
        gathered.doubts.append(ended.words)
    if gathered.shown or gathered.schedules:  # of two operations at once
        race = list(gathered.shown.values())
        tried = f"the two operations were run {sum(gathered.schedules.values()):,} times at once: nothing is wrong"
        return race, {"events": [], "story": race[0].story if race else tried}, gathered.doubts
    return (judged(runs[0]) if runs else []), (runs[0] if runs else None), gathered.doubts


def replay_target(target: str, text: str, *, python: str, as_json: bool) -> int:
    """Replay a token of ``check`` on its target, print what happens, and return the exit status."""
    import click

    found, run, doubts = replay(Plan(target, python=python), _request(text))
    verdict = Verdict.VIOLATED if found else Verdict.UNKNOWN if doubts or run is None else Verdict.SOUND
    if as_json:
        told = {
            "events": run["events"] if run is not None else [],
            "found": [{"anomaly": s.anomaly, "sentence": s.sentence} for s in found],
            "doubts": doubts,
            "verdict": verdict.value,
        }
        click.echo(json.dumps(told, indent=2, sort_keys=True))
        return verdict.exit_status
    if run is not None:
        click.echo(run["story"])
    for doubt in doubts:
        click.echo(doubt)
    click.echo(verdict.value)
    return verdict.exit_status


def _request(text: str) -> dict[str, Any]:
    if text.startswith(ASYNC_PREFIX):
        return {"job": "replay asyncio", "schedule": parse_async_token(text)}
    if text.startswith(RACE_PREFIX):
        race = parse_race_token(text)
        return {"job": "replay race", "how": race["job"], "place": race["at"], "program": race["program"]}
    return {"job": "replay", "program": parse_token(text)}


def guarantee_named(name: str) -> Guarantee:
    """Return a guarantee by its label; raises ``BadGuarantee``."""
    known = {guarantee.label: guarantee for guarantee in Guarantee}
    if name not in known:
        raise BadGuarantee(f"there is no guarantee {name!r}", hint=nearest(name, known))
    return known[name]
