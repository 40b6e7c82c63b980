"""Schedules: the choices that make one run, their replay into events, and the token that names them.

A token is ``cs1:`` followed by one part per step, separated by dots: the number of the process, a letter for
a fault (``c`` cancel, ``t`` timeout, ``k`` crash, ``x`` expiry of a hold), and the amounts that the environment chose,
if there was a choice, after a colon. ``cs1:60/0.1.2.0:23`` is a run at cap 60.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.ceilings import Charge
from capsound.errors import BadToken as BadToken
from capsound.events import (
    Bill,
    Cancel,
    Close,
    Crash,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Observe,
    Open,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
    Stall,
    Timeout,
)
from capsound.frames import IntAlgebra, Ledger
from capsound.machine import Branch, Config, Env, Machine, dead_at, fire, initial
from capsound.predicates import live, violates
from capsound.properties import Property
from capsound.sliding import begin_of_bucket, kept, moments_of

TOKEN_VERSION = "cs1"

_FAULT_LETTERS = {"cancel": "c", "timeout": "t", "crash": "k", "expire": "x"}


class ImpossibleAmount(BadToken):
    """An amount that the environment cannot choose at its step."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One step: which process, ``run`` or a fault, and the amounts that the environment chose."""

    process: int
    kind: str = "run"
    draws: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A run of a machine as a value: the cap and one choice per step."""

    cap: int
    choices: tuple[Choice, ...]

    @property
    def token(self) -> str:
        """The schedule as a short text that ``parse_token`` reads back."""
        parts = []
        for choice in self.choices:
            letter = _FAULT_LETTERS.get(choice.kind, "")
            draws = ":" + ",".join(map(str, choice.draws)) if choice.draws else ""
            parts.append(f"{choice.process}{letter}{draws}")
        return f"{TOKEN_VERSION}:{self.cap}/{'.'.join(parts)}"


_PART = re.compile(r"([0-9]{1,6})([ctkx]?)(?::([0-9]{1,40}(?:,[0-9]{1,40})*))?")


def parse_token(text: str) -> Schedule:
    """Return the schedule that a token names. Raises ``BadToken`` when it cannot be read."""
    version, colon, rest = text.strip().partition(":")
    if colon and version != TOKEN_VERSION and re.fullmatch(r"cs\d+", version):
        raise BadToken(
            f"the token was made by format {version}, this is {TOKEN_VERSION}",
            hint="solve the scenario again to get a token of this version",
        )
    cap, slash, steps = rest.partition("/")
    if version != TOKEN_VERSION or not slash or not re.fullmatch(r"[0-9]{1,40}", cap):
        shown = text if len(text) <= 60 else text[:57] + "..."
        raise BadToken(f"{shown!r} is not a replay token", hint=f"a token looks like {TOKEN_VERSION}:60/0.1.2")
    choices = []
    for position, part in enumerate(steps.split(".") if steps else [], start=1):
        match = _PART.fullmatch(part)
        if match is None:
            shown = part if len(part) <= 60 else part[:57] + "..."
            raise BadToken(
                f"part {position} of the token, {shown!r}, cannot be read",
                hint="a part is the number of a process, a letter c, t, k or x for a fault, and amounts after a colon",
            )
        kind = next((k for k, letter in _FAULT_LETTERS.items() if letter == match[2]), "run")
        draws = tuple(int(d) for d in match[3].split(",")) if match[3] else ()
        choices.append(Choice(int(match[1]), kind, draws))
    return Schedule(int(cap), tuple(choices))


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a run: who did what, the events it caused, and the state after it."""

    actor: str
    action: str
    events: tuple[Event, ...]
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """A run with everything that happened in it. ``opening`` are the events before the first step."""

    schedule: Schedule
    opening: tuple[Event, ...]
    steps: tuple[TraceStep, ...]
    initial: tuple[int, ...]
    moments: tuple[int, ...] | None = ()
    """When each step happens, in nanoseconds after the run began, where windows slide; otherwise there is no time.

    None where no moments were found for the order of the steps.
    """
    grid: int = 0
    """When a bucket begins, where everything leaves a window by the bucket."""

    @property
    def events(self) -> tuple[Event, ...]:
        """All events in order: what the monitor folds."""
        return self.opening + tuple(event for step in self.steps for event in step.events)


class NeedDraw(Exception):
    """The environment has to choose an amount from ``lo`` to ``hi`` and the script says nothing of it."""

    def __init__(self, lo: int, hi: int | None) -> None:
        super().__init__(lo, hi)
        self.lo = lo
        self.hi = hi


class Script:
    """The choices of the environment for one step, given in advance; fixed amounts need no choice."""

    def __init__(self, draws: tuple[int, ...]) -> None:
        self.draws = draws
        self.used = 0

    def __call__(self, _name: str, lo: int, hi: int | None) -> int:
        """Return the next amount; raises ``NeedDraw`` when none is left, ``BadToken`` when it is out of range."""
        if lo == hi:
            return lo
        if self.used == len(self.draws):
            raise NeedDraw(lo, hi)
        value = self.draws[self.used]
        self.used += 1
        if value < lo or (hi is not None and value > hi):
            raise ImpossibleAmount(
                f"{value} is not a possible amount here: {lo}..{'any' if hi is None else hi}",
                hint="the token belongs to another scenario, or the scenario was changed since",
            )
        return value


INTS = IntAlgebra()


class Recorder:
    """Turns what the machine emits into events, naming holds R1, R2, .. and calls C1, C2, .. as they appear."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.events: list[Event] = []
        self.holds: dict[int, HoldId] = {}
        self.calls: dict[int, CallId] = {}
        self.admitted = 0
        self.sent = 0

    def __call__(
        self, kind: str, amount: int | None, branch: Branch, config: Config, _charge: Charge | None = None
    ) -> None:
        """Record one emission of ``branch``."""
        process = self.machine.processes[branch.process]
        place = process.places[branch.place]
        account = AccountId(self.machine.accounts[place.account].name)
        parent = AccountId(self.machine.accounts[place.parent].name)
        agent = AgentId(process.name)
        call = config.running[branch.process].call
        me = branch.process
        if kind == "reserve":
            self.admitted += 1
            self.holds[me] = HoldId(f"R{self.admitted}")
            self.events.append(Reserve(account, self.holds[me], Amount(call.cover), agent))
        elif kind == "refuse":
            refusing = parent if place.kind == "delegate" else account
            self.events.append(Refuse(refusing, Amount(amount or 0), "does not fit", agent))
            if place.kind == "delegate":
                # Its agents still try to use it: a refused slice is a slice of nothing.
                self.events.append(Delegate(parent, account, Amount(0)))
        elif kind == "send":
            self.sent += 1
            self.calls[me] = CallId(f"C{self.sent}")
            self.events.append(Send(self.holds[me], self.calls[me]))
        elif kind == "bill":
            self.events.append(Bill(self.calls[me], Amount(amount or 0)))
        elif kind == "settle":
            self.events.append(Settle(self.holds[me], Amount(call.told)))
        elif kind == "extend":
            assert place.costs is not None
            self.events.append(Extend(self.holds[me], Amount(call.size)))
        elif kind == "release":
            self.events.append(Release(self.holds[me]))
        elif kind == "forfeit":
            self.events.append(Forfeit(self.holds[me]))
        elif kind == "delegate":
            self.events.append(Delegate(parent, account, Amount(amount or 0)))
        elif kind == "close":
            self.events.append(Close(account))
        elif kind == "cancel":
            self.events.append(Cancel(self.holds[me]))
        elif kind == "timeout":
            self.events.append(Timeout(self.calls[me]))
        elif kind == "crash":
            self.events.append(Crash(agent))
        else:
            raise AssertionError(kind)

    def observe(self, branch: Branch, before: Config, after: Config) -> None:
        """Record what every account that changed, or on which a call was resolved, now says of itself.

        Why not only what changed: of two lost updates the second leaves the balance as it was, and just that
        silence is the anomaly. And a slice for which its parent was not debited shows in the parent.
        """
        place = self.machine.processes[branch.process].places[branch.place]
        resolved = any(isinstance(event, Settle | Release | Forfeit) for event in self.events)
        delegated = any(isinstance(event, Delegate | Close) for event in self.events)
        tries = self.machine.discipline.tries
        for index, info in enumerate(self.machine.accounts):
            old, new = before.ledgers[index], after.ledgers[index]
            touched = (resolved and index == place.account) or (delegated and index == place.parent)
            if new is old and not touched and not tries:
                continue
            spent = new.charged + new.forfeited
            left = new.available + self._tried(after, index)
            changed = (spent, left) != (old.charged + old.forfeited, old.available + self._tried(before, index))
            # A copied balance comes back although it is still out: only what the account says shows it, since
            # `close` has no amount and the books return what a sound ledger had left.
            back = new.returned if new.returned - old.returned > max(0, _left(old)) else None
            if changed or back is not None or touched:
                self.events.append(Observe(AccountId(info.name), spent, left, returned=back))

    def _tried(self, config: Config, account: int) -> int:
        """Return what calls have added to an account that are not admitted yet: nothing that is told of them counts."""
        if not self.machine.discipline.tries:
            return 0
        total = 0
        for process, running in zip(self.machine.processes, config.running, strict=True):
            at = running.at if running.at >= 0 else dead_at(running.at)
            if at < process.done and process.places[at].tried and process.places[at].account == account:
                total += running.call.cover
        return total


def _left(ledger: Ledger) -> int:
    """Return what a sound ledger would have available, from the ghosts."""
    left: int = ledger.granted - ledger.booked - ledger.outstanding - ledger.carved - ledger.returned
    return left


def settled(conditions: list[object]) -> bool:
    """Return whether all conditions of a concrete branch hold."""
    return all(condition is True for condition in conditions)


def possible(machine: Machine, config: Config, choice: Choice) -> Branch | None:
    """Return the branch that ``choice`` takes in a concrete state: run, or refuse where a guard fails."""
    at = config.running[choice.process].at
    if at < 0 or at == machine.processes[choice.process].done:
        return None
    if choice.kind != "run":
        wanted = Branch(choice.process, at, choice.kind)
        return wanted if wanted in set(machine.branches_at(choice.process, at)) else None
    for kind in ("run", "refuse"):
        branch = Branch(choice.process, at, kind)
        if kind == "refuse" and not machine.processes[choice.process].places[at].guarded:
            break
        trial = config.fork(machine, branch)
        if settled(fire(machine, trial, branch, Env(INTS, Script(choice.draws)))):
            return branch
    return None


def _opening(machine: Machine, cap: int) -> tuple[Event, ...]:
    """Return the events before the first step: the root is opened, and what is already spent was one call."""
    root = AccountId(machine.accounts[0].name)
    opened: tuple[Event, ...] = (Open(root, Amount(cap)),)
    if machine.alone:
        opened += tuple(Open(AccountId(info.name), Amount(info.grant.lo)) for info in machine.accounts[1:])
    if not machine.scenario.spent:
        return opened
    hold, call, spent = HoldId("R0"), CallId("C0"), Amount(machine.scenario.spent)
    before = AgentId("earlier calls")
    return (*opened, Reserve(root, hold, spent, before), Send(hold, call), Bill(call, spent), Settle(hold, spent))


def run_schedule(machine: Machine, schedule: Schedule) -> Trace:
    """Execute a schedule and return everything that happened.

    Raises ``BadToken`` when a step is not possible: the token belongs to another scenario or was changed.
    """
    if schedule.cap < machine.cap.lo or (machine.cap.hi is not None and schedule.cap > machine.cap.hi):
        raise BadToken(
            f"the token is for a cap of {schedule.cap}, the scenario has {machine.cap}",
            hint="the token belongs to another scenario, or the scenario was changed since",
        )
    from capsound.recording import CeilingRecorder  # which is a recorder like this one, and more

    config = initial(machine, schedule.cap)
    recorder = CeilingRecorder(machine) if machine.alone else Recorder(machine)
    opening = _opening(machine, schedule.cap)
    first = values = config.flat()
    steps: list[TraceStep] = []
    passed = [kept(machine, config.past)] if config.past else []
    for number, choice in enumerate(schedule.choices, start=1):
        if choice.process >= len(machine.processes):
            raise BadToken(
                f"step {number} names process {choice.process}, and the last one is {len(machine.processes) - 1}",
                hint="the token belongs to another scenario, or the scenario was changed since",
            )
        try:
            branch = possible(machine, config, choice)
            if branch is None:
                raise BadToken(
                    f"step {number} is not possible: {machine.processes[choice.process].name} cannot "
                    f"{'move' if choice.kind == 'run' else choice.kind} here",
                    hint="the token belongs to another scenario, or the scenario was changed since",
                )
            after = config.fork(machine, branch)
            recorder.events = []
            script = Script(choice.draws)
            fire(machine, after, branch, Env(INTS, script, recorder))
            if script.used < len(choice.draws):
                raise BadToken(
                    f"step {number} gives {len(choice.draws)} amounts where {script.used} can be chosen",
                    hint="the token belongs to another scenario, or the scenario was changed since",
                )
        except ImpossibleAmount as error:
            raise BadToken(f"step {number}: {error.message}", hint=error.hint) from None
        except NeedDraw:
            raise BadToken(
                f"step {number} needs an amount that the token does not give",
                hint="the token belongs to another scenario, or the scenario was changed since",
            ) from None
        recorder.observe(branch, config, after)
        place = machine.processes[choice.process].places[branch.place]
        action = branch.kind if branch.kind != "run" else place.label
        if branch.kind == "refuse":
            action = f"{place.label}: refused"
        values = after.flat_after(config, values)
        steps.append(TraceStep(machine.processes[choice.process].name, action, tuple(recorder.events), values))
        config = after
        passed += [kept(machine, config.past)] if config.past else []
    if steps and violates(machine, config, Property.PROGRESS, INTS):
        stall = Stall(tuple(AgentId(name) for name in live(machine, config)))
        last = steps[-1]
        steps[-1] = TraceStep(last.actor, last.action, (*last.events, stall), last.values)
    when = moments_of(machine, passed) if passed else ()
    return Trace(schedule, opening, tuple(steps), first, when, begin_of_bucket(machine, passed, when))
