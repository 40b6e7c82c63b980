"""What children say of a target, judged again here: this process believes none of it.

Every run that a child sends is folded through the monitor of this process, and only what that finds counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from capsound.adapter import Adapter
from capsound.errors import EXIT_OUR_BUG, CapsoundError
from capsound.guarantees import Guarantee
from capsound.monitor import Finding, Monitor
from capsound.report import Report, refuted
from capsound.verdict import Verdict
from capsound_checker.check.evidence import Evidence
from capsound_checker.check.plan import guarantee_of_profile
from capsound_checker.check.results import Doubt, Shown
from capsound_checker.check.tokens import async_token, parse_race_token, seen_in_token
from capsound_checker.programs.lockstep import NO_LOOP, Lockstep
from capsound_checker.programs.precision import Precision, measured, workloads
from capsound_checker.programs.program import PROFILES, Step
from capsound_checker.programs.timing import event_in, monitor_for


class CheckerFailed(CapsoundError):
    """A process of ours failed at a place of ours."""

    name = "checker-failed"
    exit_status = EXIT_OUR_BUG


REORDERED = "; only if wake-ups are reordered, not on the standard loop"


UNSEEN = "; only where it cannot see that capsound is loaded (replay it with --python)"


class _Nobody(Adapter):
    """Stands where an adapter is expected and is never asked."""


def _folded(message: Mapping[str, Any]) -> Lockstep:
    """Return a run in which this process has heard what a child has heard, by the readable monitor."""
    monitor = monitor_for(message["events"])
    run = Lockstep(_Nobody(), monitor=cast("Monitor", monitor))
    for data in message["events"]:
        run.tell(event_in(data, monitor))
    return run


def judged(message: Mapping[str, Any]) -> list[Shown]:
    """Fold a run that a child has sent; return what is wrong in it, as seen by this process."""
    run = _folded(message)
    return _faults(message, run, run.report())


def _faults(message: Mapping[str, Any], run: Lockstep, report: Report) -> list[Shown]:
    """Return what is wrong in a run that was folded."""
    known = {(f.anomaly, f.facts) for f in run.findings}
    left = [f for f in report.findings if f.anomaly == "stranded" and (f.anomaly, f.facts) not in known]
    program = tuple(Step(*step) for step in message["program"])
    out: dict[str, Shown] = {}
    broken = {"A1"} if report.exercise.overran else set()
    without = frozenset(broken | ({"affine"} if is_misuse(program) else set()))
    schedule = message.get("schedule")
    reordered = schedule is not None and not schedule["fifo"]
    elsewhere = bool(message.get("elsewhere"))
    wrong = [*run.wrong(), *left]
    for finding in wrong:
        out.setdefault(
            finding.anomaly,
            Shown(
                finding.anomaly,
                finding.sentence + _in(message) + (REORDERED if reordered else UNSEEN if elsewhere else ""),
                program,
                message.get("story") or "\n".join(map(json.dumps, message["events"])),
                _refutes([f for f in wrong if f.anomaly == finding.anomaly], report),
                without=without,
                at=finding.step,
                schedule=seen_in_token(async_token(schedule), message) if schedule is not None else "",
                events=tuple(message["events"]),
                elsewhere=elsewhere,
            ),
        )
    return list(out.values())


def _in(message: Mapping[str, Any]) -> str:
    """Return in which dimension a run was looked at, in words; empty where that is all of them."""
    return f" (in {message['dimension']})" if message.get("dimension") else ""


def _refutes(findings: Iterable[Finding], report: Report) -> Guarantee | None:
    """Return the weakest guarantee that findings of one anomaly refute in a run; None where they refute none."""
    broken = {prop for prop, verdict in report.verdicts.items() if verdict is Verdict.VIOLATED}
    return refuted(findings, report.exercise, broken)


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
class Gathered:
    """What the children have said so far."""

    shown: dict[str, Shown] = field(default_factory=dict)
    refutations: list[tuple[Guarantee, frozenset[str]]] = field(default_factory=list)
    doubted: list[Doubt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    exercise: dict[str, int] = field(default_factory=dict)
    programs: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    schedules: dict[str, int] = field(default_factory=dict)
    noticed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The shortest run in which each anomaly was met, as it was sent: not shrunk yet."""
    weakest: dict[tuple[str, frozenset[str]], Shown] = field(default_factory=dict)
    """The smallest run in which each anomaly refutes the weakest guarantee, by what that run does not keep."""
    evidence: Evidence = field(default_factory=Evidence)
    blind: bool = False
    """Whether the implementation does not say what it has recorded."""
    no_zero: bool = False
    """Whether a cap of 0 is no cap there, so that none is opened."""
    blind_stops: set[frozenset[str]] = field(default_factory=set)
    """What runs did not keep in which a blind one admitted a call after bills that reach the cap."""
    overran: tuple[str, tuple[Step, ...]] | None = None
    """Of one that is never told a bill: how far bills above their holds took a root above its cap, and in which run."""
    waits: bool = False
    informative: bool = False
    """Whether a driver other than the programs has brought the target to admit something."""
    raced: dict[str, int] = field(default_factory=dict)
    """How many schedules of two threads could have shown a race at the gate, by what is raced there."""
    varied: set[str] = field(default_factory=set)
    """What was varied beside programs and schedules: the hash seed, the clock, large amounts."""
    contended: int = 0
    """How often two clients of recorded runs asked for admission at once, and only one of them got it."""
    seen: dict[str, int] = field(default_factory=dict)
    """In how many recorded runs each anomaly was seen."""
    schedules_shown: dict[str, Shown] = field(default_factory=dict)
    broken: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    precision: Precision = Precision()

    def hear(self, job: str, message: Mapping[str, Any]) -> None:
        """Take one message."""
        match message["say"]:
            case "run":
                self._run(message)
            case "noticed":
                known = self.noticed.get(message["name"])
                if known is None or len(message["program"]) < len(known["program"]):
                    self.noticed[message["name"]] = message
            case "race":
                self._race(job, message)
            case "workload":
                events = [event_in(data) for data in message["events"]]
                self.precision += measured(workloads(self.seed)[message["number"]], events)
            case "history":
                self._history(message["lines"], _in(message))
            case "recorded":
                self._recorded(message)
            case "sample":
                self._sample(job, message)
            case "programs":
                self.operations += message["operations"]
                self.evidence.tell_gate(message)
                for name, number in message["programs"].items():
                    self.programs[name] = self.programs.get(name, 0) + number
                self.varied.update(message["varied"])
                if message["hung"]:
                    self.note(f"it hangs: {job} stopped there")
                if message["late"]:
                    names = ", ".join(name.removeprefix("proper ") for name in message["late"])
                    told = (
                        f"time ran out before all programs were run: {names} (give more --budget, or fewer --programs)"
                    )
                    self.doubt(told, min(map(guarantee_of_profile, message["late"])))
            case "schedules":
                self.schedules[message["job"]] = self.schedules.get(message["job"], 0) + message["schedules"]
                self.informative = self.informative or message["schedules"] > 0
                if "raced" in message:
                    self.raced[message["gate"]] = self.raced.get(message["gate"], 0) + message["raced"]
                    if not message["raced"] and not any(shown.driver == "threads" for shown in self.shown.values()):
                        told = f"threads: no two calls were in each other's way at the gate ({message['gate']})"
                        self.doubt(told, Guarantee.CONCURRENT)
            case "cut":
                told = f"{message['schedules']:,} schedules run"
                told = f"{message['job']}: not all pairs of operations were tried; {told}"
                if message.get("late"):
                    self.doubt(f"{told} when time ran out", Guarantee.CONCURRENT)
                else:
                    self.note(told)
            case "explored":
                self.evidence.tell_gate(message)
                self.schedules["asyncio"] = self.schedules.get("asyncio", 0) + message["schedules"]
                self.informative = self.informative or message["informative"]
                covered = (
                    f"asyncio: every schedule of {message['complete']} of {message['programs']} programs{_in(message)}"
                )
                self.note(f"{covered}; {message['schedules']:,} run")
                if message["needs"]:
                    self.doubt(message["needs"])
                if message["struck"]:
                    self.doubt(f"asyncio: {message['struck']}", Guarantee.CONCURRENT)
            case "unmoved":
                self.note(f"it was not run where capsound cannot be seen: {message['why']}")
            case "failed" | "broke" if message.get("elsewhere"):
                self.note(
                    f"it was not run where capsound cannot be seen: {message.get('message', message.get('error'))}"
                )
            case "failed" if message.get("passing") and message["name"] == "bad-target":
                self.note(f"no time passed: with clocks that can be moved it does not load: {message['message']}")
            case "untaken":
                self.note(f"amounts from 2^31 on were not tried: {message['why']}")
            case "failed" if message["cause"] == NO_LOOP and self.waits:
                self.note("it needs a running event loop: only asyncio can drive it")
            case "failed":
                doubt = f"{message['name']}: {message['message']}"
                cure = "; ".join(part for part in (message["cause"], message["hint"]) if part)
                at = guarantee_of_profile(message["profile"]) if "profile" in message else Guarantee.STOPS
                self.doubt(f"{doubt} ({cure})" if cure else doubt, at)
            case "broke":
                self.broken[job] = message
            case "end":
                broken = self.broken.pop(job, None)
                if not message["intact"]:
                    self.doubt("the target replaces parts of capsound in its process: its results cannot be trusted")
                elif broken is not None and broken["ours"]:
                    raise CheckerFailed(
                        f"capsound failed while it drove the target: {broken['error']}", cause=broken["trace"]
                    )
                elif broken is not None:
                    self.doubt(f"it raised what its adapter does not classify: {broken['error']}")

    def unvaried(self) -> list[str]:
        """Return what was the same in all runs: a fault that needs it is not found."""
        longest = max(profile.length for profile in PROFILES.values())
        seeds = [told for told in self.varied if told.startswith("hash seed")]
        out = [] if len(seeds) > 1 else ["the hash seed"]
        known = ("time", "amounts from 2^31", "whether capsound is loaded")
        out += [name for name in known if name not in self.varied]
        out += ["caps of 0 (there, that is no cap)"] if self.no_zero else []
        out += [f"programs longer than {longest} steps", "more than one preemption", "handles that are dropped"]
        out += [] if self.blind else ["whether anybody reads its balances"]
        out.append("what it reads from files, the network and its environment")
        return [*out, "what called it, and which process started it"]

    def note(self, text: str) -> None:
        """Take a remark that changes no verdict, once."""
        if text not in self.notes:
            self.notes.append(text)

    def doubt(self, text: str, at: Guarantee = Guarantee.STOPS) -> None:
        """Note what stood in the way, and the weakest guarantee that might be refuted but for it."""
        if text not in [doubt.text for doubt in self.doubted]:
            self.doubted.append(Doubt(text, at))

    def _as_far_as_seen(self, shown: Shown) -> Shown:
        if not self.blind or shown.anomaly != "no-stop":
            return shown
        self.blind_stops.add(shown.without)
        sentence = shown.sentence.replace("its recorded spend", "a told spend of")
        return replace(shown, anomaly="over-admit", sentence=sentence, refutes=None)

    def _run(self, message: Mapping[str, Any]) -> None:
        self._keep_all(judged(message))

    def _keep_all(self, faults: Iterable[Shown]) -> None:
        """Keep what a run shows; of an implementation that is blind nobody knows when it has to stop."""
        for shown in faults:
            self._keep(self._as_far_as_seen(shown))

    def _keep(self, shown: Shown) -> None:
        """Keep a finding: the smallest of each anomaly, and the smallest of those that refute most."""
        self._refute(shown.refutes, shown.without)
        if shown.schedule:
            known = self.schedules_shown.get(shown.anomaly)
            if known is None or _rank(shown) < _rank(known):
                self.schedules_shown[shown.anomaly] = shown
            return
        known = self.shown.get(shown.anomaly)
        if known is None or _size(shown) < _size(known):
            self.shown[shown.anomaly] = shown
        key = shown.anomaly, shown.without
        if shown.refutes is not None:
            least = self.weakest.get(key)
            if least is None or (_rank(shown), _size(shown)) < (_rank(least), _size(least)):
                self.weakest[key] = shown

    def all_shown(self) -> list[Shown]:
        """Return the findings to be told: of each anomaly the smallest, and the smallest that refutes what it refutes.

        What was met and not made smaller in time counts as it was met; that something hangs has to be confirmed.
        """
        for name, message in sorted(self.noticed.items()):
            if name not in self.shown and (name != "hang" or self.doubted):
                for shown in map(self._as_far_as_seen, judged(message)):
                    if name in (shown.anomaly, "no-stop"):
                        told = f"{shown.sentence} (found before the process ended; not shrunk)"
                        self._keep(replace(shown, sentence=told))
        out = list(self.shown.values())
        more = sorted([*self.weakest.values(), *self.schedules_shown.values()], key=_size)
        for shown in more:
            same = [s for s in out if s.anomaly == shown.anomaly]
            refutes = shown.refutes
            stronger = refutes is not None and not any(
                s.refutes is not None and s.refutes <= refutes and s.without <= shown.without for s in same
            )
            if not same or stronger:
                out.append(shown)
        return out

    def _refute(self, guarantee: Guarantee | None, without: frozenset[str] = frozenset()) -> None:
        if guarantee is not None and (guarantee, without) not in self.refutations:
            self.refutations.append((guarantee, without))

    def _race(self, job: str, message: Mapping[str, Any]) -> None:
        """Take a schedule of two operations at once, and what came of spending all that was left after it."""
        token = message["token"]
        from capsound_checker.schedules.races import ended_by_race

        overspent = None  # what it leads to could not be tried
        if message.get("events"):
            overspent = not {f.anomaly for f in _folded(message).wrong()}.isdisjoint({"overshoot", "slice-overshoot"})
        refutes = ended_by_race(message["anomaly"], parse_race_token(token)["program"], overspent)
        sentence, token = message["sentence"] + _in(message), seen_in_token(token, message)
        self._at_once(job, message["anomaly"], sentence, message["story"], token, refutes=refutes)

    def _at_once(
        self,
        job: str,
        anomaly: str,
        sentence: str,
        story: str,
        token: str,
        recorded: Sequence[str] = (),
        *,
        refutes: Guarantee | None,
    ) -> None:
        """Take what several threads did: it is no program."""
        self._refute(refutes)
        shown = Shown(anomaly, sentence, (), story, refutes, schedule=token, recorded=tuple(recorded), driver=job)
        known = self.shown.setdefault(f"{anomaly}, {job}", shown)
        if refutes is not None and (known.refutes is None or refutes < known.refutes):
            self.shown[f"{anomaly}, {job}"] = shown

    def _history(self, lines: Sequence[str], seen_in: str = "") -> None:
        """Ask whether some order explains a recorded run; it cannot be run again, so that it is shown as it was."""
        from capsound_checker.histories.history import History, check

        found = check(History.read(lines, "the recorded run"))
        self.schedules["history"] = self.schedules.get("history", 0) + 1
        self.contended += found.contended
        self.informative = self.informative or found.admitted > 0
        if found.verdict is Verdict.VIOLATED:
            name = found.anomaly or "history"
            self.seen[name] = self.seen.get(name, 0) + 1
            window = "\n".join(found.window)
            refutes = None if found.reads_only else found.refutes  # a balance that was off for a moment
            self._at_once("history", name, found.sentence + seen_in, window, "", lines, refutes=refutes)

    def _recorded(self, message: Mapping[str, Any]) -> None:
        """Say how often each thing was seen, and what the runs could not have shown."""
        runs = message["runs"]
        for name, count in sorted(self.seen.items()):
            self.note(f"history: {name} was seen in {count} of {runs} recorded runs")
        if message["late"]:
            self.doubt(f"history: time ran out after {runs} recorded runs", Guarantee.CONCURRENT)
        elif self.contended < message["wanted"] and not self.seen:
            told = f"{self.contended} times in {runs} recorded runs, and {message['wanted']} are needed"
            self.doubt(f"history: two clients were in each other's way at the gate {told}", Guarantee.CONCURRENT)
        self.contended = 0  # another job may look at another dimension

    def _sample(self, job: str, message: Mapping[str, Any]) -> None:
        if job != "misuse" and not is_misuse([Step(*step) for step in message["program"]]):
            self.evidence.hear_data(message["events"])
        run = _folded(message)
        report = run.report()
        if self.evidence.prepaid and report.exercise.overran:
            self._overran(report, tuple(Step(*step) for step in message["program"]))
        exercise = report.exercise
        for name in ("admitted", "refused", "sent", "settled", "delegated", "faults"):
            self.exercise[name] = self.exercise.get(name, 0) + getattr(exercise, name)
        self._keep_all(_faults(message, run, report))  # a child that saw nothing here was lying, or was lied to

    def _overran(self, report: Report, program: tuple[Step, ...]) -> None:
        """Keep the shortest run in which bills above their holds took a root above its cap."""
        over = [finding.sentence for finding in report.findings if finding.anomaly == "overshoot"]
        known = self.overran
        if over and program and (known is None or (len(program), program) < (len(known[1]), known[1])):
            self.overran = over[-1], program


def _rank(shown: Shown) -> int:
    """Order what refutes more before what refutes less."""
    return len(Guarantee) if shown.refutes is None else int(shown.refutes)


def _size(shown: Shown) -> tuple[bool, bool, int, int, tuple[Step, ...]]:
    """Order what shows the same; the program itself decides last, so that no order of messages does."""
    return (
        shown.misuse,
        shown.elsewhere,
        len(shown.program),
        sum(step.amount + step.bill for step in shown.program),
        shown.program,
    )
