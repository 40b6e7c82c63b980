"""The machine of a scenario in execution: its state, and the transition relation.

``compile_scenario`` turns a scenario into processes, each a list of places; ``fire`` executes one branch of
one process. Both work on integers and on z3 terms alike, so that the explorer, the solver and the replay run
the very same transition relation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any

from capsound.ceilings import finished, fire_alone, waits_alone
from capsound.compiling import TOLD_APART, compile_scenario, discipline_of
from capsound.disciplines import Block, Discipline, Retry
from capsound.frames import Algebra, Bool, CallVars, Frame, Ledger, Num
from capsound.processes import AccountInfo, Branch, Machine, Place, Process, dead_at
from capsound.sliding import no_past, past_names
from capsound.steps import FORGET

__all__ = [
    "CALL_FIELDS",
    "LEDGER_FIELDS",
    "TOLD_APART",
    "AccountInfo",
    "Branch",
    "Config",
    "Env",
    "Machine",
    "Place",
    "Process",
    "Running",
    "blocked",
    "compile_scenario",
    "dead_at",
    "discipline_of",
    "fire",
    "initial",
    "thaw",
    "variable_names",
    "waits",
    "width_of",
]

LEDGER_FIELDS = tuple(f.name for f in fields(Ledger))
CALL_FIELDS = tuple(f.name for f in fields(CallVars))
FAULTS = ("cancel", "timeout", "crash", "expire")

_of_ledger, _of_call = attrgetter(*LEDGER_FIELDS), attrgetter(*CALL_FIELDS)


def _copied(ledger: Ledger) -> Ledger:
    """Return a copy, in a fifth of the time that ``dataclasses.replace`` takes: playing is mostly copying."""
    return Ledger(*_of_ledger(ledger))


def _copied_call(call: CallVars) -> CallVars:
    return CallVars(*_of_call(call))


@dataclass(slots=True)
class Running:
    """A process in execution."""

    at: Num
    call: CallVars = field(default_factory=CallVars)
    more: list[CallVars] = field(default_factory=list)
    """The call as it is counted in further dimensions."""
    entry: Num = 0
    """Which entry of a sliding window was made when the call was admitted, from 1 on; 0 when that has left it."""

    def copy(self) -> Running:
        """Return a copy that can be changed without changing this one."""
        return Running(self.at, _copied_call(self.call), [_copied_call(call) for call in self.more], self.entry)


@dataclass(slots=True)
class Config:
    """A state of the machine. ``opened`` is 1 once an account exists; ``faults`` are those still to come.

    ``past`` is what counts in windows that slide: how many entries, then what is in each (``capsound.sliding``).
    """

    ledgers: list[Ledger]
    opened: list[Num]
    running: list[Running]
    faults: list[Num]
    past: list[Num] = field(default_factory=list)

    def copy(self) -> Config:
        """Return a copy that can be changed without changing this one."""
        return Config(
            [_copied(ledger) for ledger in self.ledgers],
            list(self.opened),
            [r.copy() for r in self.running],
            list(self.faults),
            list(self.past),
        )

    def fork(self, machine: Machine, branch: Branch) -> Config:
        """Return a copy on which ``branch`` can be fired without changing this one; the rest is shared."""
        place = machine.processes[branch.process].places[branch.place]
        ledgers, running = list(self.ledgers), list(self.running)
        for account in {place.account, place.parent, *place.ledgers, *place.admitted_on}:
            ledgers[account] = _copied(ledgers[account])
        running[branch.process] = running[branch.process].copy()
        if not place.keeps or place.kind == "age":
            running = [mine.copy() for mine in running]
        return Config(ledgers, list(self.opened), running, list(self.faults), list(self.past))

    def flat(self) -> tuple[Num, ...]:
        """Return every variable in a fixed order."""
        out: list[Num] = []
        for ledger in self.ledgers:
            out.extend(_of_ledger(ledger))
        out.extend(self.opened)
        for r in self.running:
            out.append(r.at)
            for call in (r.call, *r.more):
                out.extend(_of_call(call))
            if self.past:
                out.append(r.entry)
        out.extend(self.faults)
        out.extend(self.past)
        return tuple(out)

    def flat_after(self, before: Config, values: tuple[Num, ...]) -> tuple[Num, ...]:
        """Return every variable, as ``flat``, where ``values`` are those of the state that this one was forked from.

        What the two states share is not looked at again: of a thousand processes a step changes one.
        """
        if self.past:  # of what is in a window that slides, a step may change all
            return self.flat()
        out = list(values)
        width = len(LEDGER_FIELDS)
        for index in _other(self.ledgers, before.ledgers):
            out[index * width : (index + 1) * width] = _of_ledger(self.ledgers[index])
        first = len(self.ledgers) * width
        out[first : first + len(self.opened)] = self.opened
        first += len(self.opened)
        width = (len(values) - first - len(self.faults)) // max(1, len(self.running))
        for index in _other(self.running, before.running):
            now = self.running[index]
            calls = [value for call in (now.call, *now.more) for value in _of_call(call)]
            out[first + index * width : first + (index + 1) * width] = [now.at, *calls]
        out[first + len(self.running) * width :] = self.faults
        return tuple(out)


def _other(now: Sequence[object], before: Sequence[object]) -> list[int]:
    """Return where two lists of a length do not share the same object."""
    return [index for index, (mine, old) in enumerate(zip(now, before, strict=True)) if mine is not old]


def thaw(machine: Machine, values: tuple[Num, ...]) -> Config:
    """Return the state whose variables have these values; the inverse of ``Config.flat``."""
    take = iter(values)
    ledgers = [Ledger(*(next(take) for _ in LEDGER_FIELDS)) for _ in machine.accounts]
    opened = [next(take) for _ in machine.accounts]
    running = []
    for _ in machine.processes:
        at = next(take)
        calls = [CallVars(*(next(take) for _ in CALL_FIELDS)) for _ in range(machine.views)]
        running.append(Running(at, calls[0], calls[1:], next(take) if machine.past else 0))
    faults = [next(take) for _ in machine.budget]
    return Config(ledgers, opened, running, faults, list(take))


def variable_names(machine: Machine) -> tuple[str, ...]:
    """Return a name for every variable, in the order of ``Config.flat``."""
    names = [f"{a.name}.{f}" for a in machine.accounts for f in LEDGER_FIELDS]
    names += [f"{a.name}.opened" for a in machine.accounts]
    for process in machine.processes:
        names.append(f"{process.name}.at")
        names += [f"{process.name}.{f}" for f in CALL_FIELDS]
        names += [f"{process.name}.{view}.{f}" for view in range(1, machine.views) for f in CALL_FIELDS]
        names += [f"{process.name}.entry"] * bool(machine.past)
    return (*names, *(f"faults.{kind}" for kind in FAULTS[: len(machine.budget)]), *past_names(machine))


def width_of(machine: Machine) -> int:
    """Return how many variables of a state are about one process."""
    return 1 + len(CALL_FIELDS) * machine.views + bool(machine.past)


def initial(machine: Machine, cap: Num) -> Config:
    """Return the state before anything has happened, for a cap of ``cap`` units."""
    ledgers = [Ledger() for _ in machine.accounts]
    spent = machine.scenario.spent
    ledgers[0] = Ledger(available=cap - spent, granted=cap, charged=spent, billed=spent, settled=spent, booked=spent)
    opened: list[Num] = [1] + [0] * (len(machine.accounts) - 1)
    if machine.alone:
        for index, account in enumerate(machine.accounts[1:], start=1):
            ledgers[index] = Ledger(available=account.grant.lo, granted=account.grant.lo)
            opened[index] = 1
    running = [Running(0, CallVars(), [CallVars() for _ in range(1, machine.views)]) for _ in machine.processes]
    return Config(ledgers, opened, running, list(machine.budget), no_past(machine, ledgers))


@dataclass(slots=True)
class Env:
    """What executes a branch: the algebra, the choices, and where events go."""

    algebra: Algebra
    draw: Callable[[str, Num, Num | None], Num]
    emit: Callable[..., None] = lambda *_: None


def fire(machine: Machine, config: Config, branch: Branch, env: Env) -> list[Bool]:
    """Execute ``branch`` on ``config`` in place; return the conditions under which it is possible.

    The place of the process is taken for granted: the caller checks that the process is there.
    """
    process = machine.processes[branch.process]
    place = process.places[branch.place]
    running = config.running[branch.process]
    if machine.alone:
        return fire_alone(machine, config, branch, env)
    frame = Frame(
        algebra=env.algebra,
        account=config.ledgers[place.account],
        call=running.call,
        costs=place.costs if place.costs is not None else _NO_COSTS,
        draw=env.draw,
        emit=lambda kind, amount=None: env.emit(kind, amount, branch, config),
        parent=config.ledgers[place.parent],
        child=config.ledgers[place.account],
        chunks_left=place.chunks_left,
    )
    if branch.kind in ("cancel", "timeout", "crash"):
        return _fault(machine, config, branch, frame)

    conditions = waits(machine, config, place, frame)
    if place.draws_size:
        running.call.size = frame.costs.draw_size(frame)
    if place.kind == "delegate" and place.grant.hi != 0:
        frame.grant = env.draw("grant", place.grant.lo, place.grant.hi)
    fits: Bool = True
    for step in place.block:
        if step.guard is not None:
            fits = env.algebra.both(fits, step.guard(frame))
    if branch.kind == "run":
        conditions.append(fits)
        if _impossible(conditions):
            return [False]
        for step in place.block:
            step.effect(frame)
        running.at = place.next
        if place.kind in ("delegate", "move"):
            config.opened[place.account] = 1
        if place.next == place.end and place.kind == "call":
            running.call = CallVars(kept=running.call.kept)
    else:
        conditions.append(env.algebra.negate(fits))
        if _impossible(conditions):
            return [False]
        if not place.silent:
            frame.emit("refuse", _wanted(place, frame))
        for step in place.on_refuse:
            step.effect(frame)
        if place.tried:
            # What was added without being admitted is not outstanding, whether it was taken back or not.
            frame.account.outstanding = frame.account.outstanding - running.call.cover
        running.at = place.refused
        if place.kind == "delegate":
            config.opened[place.account] = 1
        if not place.aborts:
            running.call = CallVars(kept=running.call.kept)
    return conditions


def waits(machine: Machine, config: Config, place: Place, frame: Frame) -> list[Bool]:
    """Return the conditions without which the process is blocked at ``place``."""
    conditions: list[Bool] = [config.opened[place.parent] == 1]
    if place.waits_open:
        conditions.append(config.opened[place.account] == 1)
    conditions += [finished(frame.algebra, machine, config, other) for other in place.after]
    return conditions + [step.waits(frame) for step in place.block if step.waits is not None]


def blocked(machine: Machine, config: Config, index: int, at: int, algebra: Algebra) -> Bool:
    """Return whether process ``index``, if it is at place ``at``, cannot take a step of its own."""
    place = machine.processes[index].places[at]
    if machine.alone:
        return not_all(algebra, waits_alone(machine, config, place, algebra))
    frame = Frame(
        algebra=algebra,
        account=config.ledgers[place.account],
        call=config.running[index].call,
        costs=_NO_COSTS,
        draw=lambda *_: 0,
        emit=lambda *_: None,
        parent=config.ledgers[place.parent],
        child=config.ledgers[place.account],
    )
    return not_all(algebra, waits(machine, config, place, frame))


def not_all(algebra: Algebra, conditions: list[Bool]) -> Bool:
    """Return whether one of the conditions fails."""
    result: Bool = False
    for condition in conditions:
        result = algebra.either(result, algebra.negate(condition))
    return result


def _wanted(place: Place, frame: Frame) -> Num:
    """Return the amount that was refused."""
    if place.kind == "delegate":
        return frame.grant
    return frame.costs.chunk(frame) if place.aborts else frame.costs.estimate(frame)


def _fault(machine: Machine, config: Config, branch: Branch, frame: Frame) -> list[Bool]:
    """Execute a fault: the environment takes one from its budget, and the discipline reacts at once."""
    place = machine.processes[branch.process].places[branch.place]
    running = config.running[branch.process]
    kind = ("cancel", "timeout", "crash").index(branch.kind)
    conditions = [config.faults[kind] >= 1]
    if _impossible(conditions):
        return [False]
    config.faults[kind] = config.faults[kind] - 1
    frame.emit(branch.kind)
    d = machine.discipline
    if branch.kind == "crash":
        running.at = dead_at(branch.place)
        return conditions
    if branch.kind == "timeout" and d.retry is Retry.SAME_HOLD:
        running.at = place.send
        return conditions
    for step in d.after_send if place.phase == "sent" else _before_send(d, place):
        step.effect(frame)
    running.call = CallVars(kept=running.call.kept)
    running.at = place.start if branch.kind == "timeout" and d.retry is Retry.NEW_HOLD else place.end
    return conditions


def _before_send(d: Discipline, place: Place) -> Block:
    """Return what gives up a call before it is sent: a hold that was not taken yet does not end."""
    if place.holds:
        return d.before_send
    return tuple(FORGET if "ends-hold" in step.tags else step for step in d.before_send)


def _impossible(conditions: list[Bool]) -> bool:
    return any(condition is False for condition in conditions)


class _NoCosts:
    """The costs of a place that is no call: asking for them is a bug."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


_NO_COSTS: Any = _NoCosts()
