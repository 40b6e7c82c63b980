"""A step of a call that counts in several ceilings at once, windows that are reset, and holds that expire.

A ceiling is a ledger of its own, open from the start, that nobody delegates. A block is executed once for each ledger
that it works on, with the same choices of the environment, on the variables of the call as they were before: so a
primitive step knows one ledger, as ever, and every discipline works over any set of ceilings. Either all guards hold
and all ledgers change, or none does.

Which ledgers still hold what a call reserved is told by the place that the call is at. Where a hold was let go, the
call goes on at a twin of its place (``capsound.charging``), and what would end the hold does what is left to do: the
late bill is charged in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from capsound.disciplines import Block, Retry
from capsound.frames import Algebra, Bool, CallVars, Costs, Frame, Ledger, Num, Step
from capsound.late import LATE_CAPPED, LATE_FORFEIT, LET_GO
from capsound.processes import Branch, Machine, Place, dead_at
from capsound.scenario import MONEY
from capsound.sliding import drop, leave, note, snapshot
from capsound.steps import DEBIT, FORFEIT, FORGET, RELEASE, SETTLE, SETTLE_CAPPED

if TYPE_CHECKING:
    from capsound.machine import Config, Env, Running

LATE: dict[str, Step] = {
    SETTLE.name: DEBIT,
    SETTLE_CAPPED.name: LATE_CAPPED,
    FORFEIT.name: LATE_FORFEIT,
    RELEASE.name: FORGET,
}
"""What a step does where the hold that it ends was let go before."""

SHARED = frozenset({"size", "input", "output"})
"""What the environment chooses of a request is the same in every dimension."""

Draw = Callable[[str, Num, "Num | None"], Num]


@dataclass(slots=True)
class Charge:
    """What an event of a call is about: one ledger, and the call as that counts it."""

    ledger: int
    call: CallVars
    others: tuple[int, ...] = ()
    """Of a reset: the processes whose holds it forgot."""


@dataclass(slots=True)
class _Choices:
    """What the environment chose in one block, by view: each further ledger of a view is told the same."""

    draw: Draw
    made: dict[int, list[tuple[str, Num]]] = field(default_factory=dict)

    def of(self, view: int) -> Draw:
        """Return what chooses for the next ledger of a view."""
        known = self.made.get(view)
        if known is not None:
            left = iter(known)
            return lambda _name, _lo, _hi: next(left)[1]
        mine = self.made[view] = []
        # The ledgers that count money come first: when another asks, they have chosen.
        asked = (value for name, value in self.made.get(0, ()) if name in SHARED)

        def draw(name: str, lo: Num, hi: Num | None) -> Num:
            value = next(asked) if view and name in SHARED else self.draw(name, lo, hi)
            mine.append((name, value))
            return value

        return draw

    def made_sizes(self) -> None:
        """Begin anew: the sizes are in the variables of the call now."""
        self.made.clear()


def calls_of(running: Running) -> list[CallVars]:
    """Return the variables of a call, one set for each dimension in which it is counted."""
    return [running.call, *running.more]


def waits_alone(machine: Machine, config: Config, place: Place, algebra: Algebra) -> list[Bool]:
    """Return the conditions without which a process is blocked at a place.

    Those are locks and slots, of each of its ledgers, and the agents that it comes after.
    """
    found = [finished(algebra, machine, config, other) for other in place.after]
    waiting = [step for step in place.block if step.waits is not None]
    if not waiting:
        return found
    for index in place.ledgers:
        frame = _frame(config.ledgers[index], CallVars(), _no_costs(), algebra, lambda *_: 0, lambda *_: None)
        found += [step.waits(frame) for step in waiting if step.waits is not None]
    return found


def fire_alone(machine: Machine, config: Config, branch: Branch, env: Env) -> list[Bool]:
    """Execute ``branch`` on ``config`` in place, in a machine whose accounts stand alone; as ``machine.fire``."""
    if not config.past:
        return _fire(machine, config, branch, env)
    if machine.processes[branch.process].places[branch.place].kind in ("age", "drop"):
        return _age(machine, config, branch, env)
    before = snapshot(machine, config)
    conditions = _fire(machine, config, branch, env)
    if not any(condition is False for condition in conditions):
        note(machine, config, branch, env.algebra, before)
    return conditions


def _fire(machine: Machine, config: Config, branch: Branch, env: Env) -> list[Bool]:
    place = machine.processes[branch.process].places[branch.place]
    if place.kind == "reset":
        return _reset(machine, config, branch, env)
    running = config.running[branch.process]
    if branch.kind not in ("run", "refuse"):
        return _fault(machine, config, branch, env)
    before = [replace(call) for call in calls_of(running)]
    choices = _Choices(env.draw)
    conditions = waits_alone(machine, config, place, env.algebra)
    if place.kind == "more":
        return [*conditions, *_one_more(machine, config, branch, env)]
    if place.draws_size:
        for index in first_of_views(machine, place.charged):
            frame = _frame_on(machine, config, branch, env, place, index, before, choices)
            known = before[machine.accounts[index].view]
            known.size = frame.call.size = frame.costs.draw_size(frame)
            if machine.discipline.one_by_one:
                # Every ceiling is asked for the same, whichever is first.
                known.cover = frame.costs.estimate(frame)
        choices.made_sizes()
    frames = {i: _frame_on(machine, config, branch, env, place, i, before, choices) for i in place.ledgers}
    fit: dict[int, Bool] = dict.fromkeys(frames, True)
    for index, frame in frames.items():
        for step in place.block:
            if step.guard is not None:
                fit[index] = env.algebra.both(fit[index], step.guard(frame))
    all_fit: Bool = True
    for fits in fit.values():
        all_fit = env.algebra.both(all_fit, fits)
    if branch.kind == "run":
        conditions.append(all_fit)
    elif not place.elsewhere:
        conditions.append(env.algebra.negate(all_fit))
    if any(condition is False for condition in conditions):
        return [False]
    if branch.kind == "run":
        for index, frame in frames.items():
            for step in _late(place.block, index in place.gone):
                step.effect(frame)
        running.at = place.next
    else:
        _refuse(machine, config, branch, env, frames, fit)
        running.at = place.refused
    _keep(machine, running, frames, before)
    if (branch.kind == "run" and place.next == place.end) or (branch.kind == "refuse" and not place.aborts):
        _forget_call(running)
    return conditions


def _one_more(machine: Machine, config: Config, branch: Branch, env: Env) -> list[Bool]:
    """Let an agent make one more call, or stop: as it likes."""
    place = machine.processes[branch.process].places[branch.place]
    (step,) = place.block
    frame = _frame(config.ledgers[place.account], CallVars(), _no_costs(), env.algebra, env.draw, lambda *_: None)
    assert step.guard is not None
    more = step.guard(frame)
    goes_on = branch.kind == "run"
    config.running[branch.process].at = place.next if goes_on else place.refused
    return [more if goes_on else env.algebra.negate(more)]


def finished(algebra: Algebra, machine: Machine, config: Config, index: int) -> Bool:
    """Return whether a process has nothing left to do, or never will."""
    at = config.running[index].at
    return algebra.either(at == machine.processes[index].done, at < 0)


def _refuse(
    machine: Machine, config: Config, branch: Branch, env: Env, frames: dict[int, Frame], fit: dict[int, Bool]
) -> None:
    """Tell who refused, and give up what other ceilings admitted before: as the discipline says, or not at all."""
    place = machine.processes[branch.process].places[branch.place]
    for index, frame in frames.items():
        if fit[index] is False:
            frame.emit("refuse", frame.costs.chunk(frame) if place.aborts else frame.costs.estimate(frame))
    if place.aborts:
        for index, frame in frames.items():
            for step in _late(place.on_refuse, index in place.gone):
                step.effect(frame)
        return
    resolves = any("resolves" in step.tags for step in place.on_refuse)
    before = [replace(call) for call in calls_of(config.running[branch.process])]
    choices = _Choices(env.draw)
    everything = dict.fromkeys((*place.admitted_on, *place.ledgers))
    for index in everything:
        frame = _frame_on(machine, config, branch, env, place, index, before, choices)
        admitted = index in place.admitted_on
        for step in place.on_refuse:
            if admitted or "resolves" not in step.tags:
                _given_up(step, place, index).effect(frame)
        if admitted and not resolves:
            # A sound ledger would hold nothing for a call that is over: the hold is nobody's now.
            frame.account.outstanding = frame.account.outstanding - frame.call.cover


def _fault(machine: Machine, config: Config, branch: Branch, env: Env) -> list[Bool]:
    """Execute a fault: the environment takes one from its budget, and the discipline reacts at once."""
    place = machine.processes[branch.process].places[branch.place]
    running = config.running[branch.process]
    kind = ("cancel", "timeout", "crash", "expire").index(branch.kind)
    possible = config.faults[kind] >= 1
    if possible is False:
        return [False]
    config.faults[kind] = config.faults[kind] - 1
    before = [replace(call) for call in calls_of(running)]
    choices = _Choices(env.draw)

    def on(ledgers: tuple[int, ...]) -> Iterator[tuple[int, Frame]]:
        for index in ledgers:
            yield index, _frame_on(machine, config, branch, env, place, index, before, choices)

    d = machine.discipline
    if branch.kind == "expire":
        for _, frame in on(tuple(i for i in place.held_on if i not in place.gone)):
            LET_GO.effect(frame)
        running.at = dict(place.twins)[place.held_on]
        return [possible]
    for number, (_, frame) in enumerate(on(place.admitted_on or place.ledgers)):
        if not (number and branch.kind == "crash"):
            frame.emit(branch.kind)
    if branch.kind == "crash":
        running.at = dead_at(branch.place)
        return [possible]
    if branch.kind == "timeout" and d.retry is Retry.SAME_HOLD:
        running.at = place.send
        return [possible]
    for index, frame in on(place.admitted_on):
        for step in d.after_send if place.phase == "sent" else d.before_send:
            _given_up(step, place, index).effect(frame)
    _forget_call(running)
    running.at = place.start if branch.kind == "timeout" and d.retry is Retry.NEW_HOLD else place.end
    return [possible]


def _given_up(step: Step, place: Place, index: int) -> Step:
    """Return what gives up a call in one ledger: a hold that was not taken, or was let go, is not released."""
    if index in place.gone:
        return LATE.get(step.name, step)
    return FORGET if step is RELEASE and index not in place.held_on else step


def _reset(machine: Machine, config: Config, branch: Branch, env: Env) -> list[Bool]:
    """Begin a new window of one ceiling: what was spent is free again. What calls hold stays, or is forgotten."""
    place = machine.processes[branch.process].places[branch.place]
    index = place.account
    ledger = config.ledgers[index]
    lost: list[int] = []
    for number, process in enumerate(machine.processes) if not place.keeps else ():
        running = config.running[number]
        at = running.at
        for here, holding in enumerate(process.places):
            if index not in holding.held_on or index in holding.gone:
                continue
            twin = dict(holding.twins)[tuple(i for i in holding.held_on if i in (*holding.gone, index))]
            for old, new in ((here, twin), (dead_at(here), dead_at(twin))):
                there = at == old
                if there is True:
                    lost.append(number)
                running.at = env.algebra.ite(there, new, running.at)
    begin_window(ledger, keeps=place.keeps)
    env.emit("reset", None, branch, config, Charge(index, CallVars(), tuple(lost)))
    config.running[branch.process].at = place.next
    return [True]


def _age(machine: Machine, config: Config, branch: Branch, env: Env) -> list[Bool]:
    """Let the oldest entry leave its windows, and what a ledger forgets with it."""
    if machine.processes[branch.process].places[branch.place].kind == "drop":
        return [drop(machine, config, branch, env.algebra)]
    possible, lost = leave(machine, config, branch, env.algebra)
    for index, processes in lost.items():
        env.emit("age", None, branch, config, Charge(index, CallVars(), tuple(processes)))
    return [possible]


def begin_window(ledger: Ledger, *, keeps: bool) -> None:
    """Forget what was spent in a window, and what is held unless that is kept; ghosts of calls in flight stay."""
    ledger.available = ledger.available + ledger.charged + ledger.forfeited
    if not keeps:
        ledger.available = ledger.available + ledger.held
        ledger.held = 0
    ledger.charged = ledger.forfeited = 0
    ledger.billed = ledger.settled = ledger.lost = ledger.booked = 0
    ledger.window = ledger.deficit


# ------------------------------------------------------------------------------------------- helpers


def _late(block: Block, gone: bool) -> Block:
    return tuple(LATE.get(step.name, step) for step in block) if gone else block


def _frame_on(
    machine: Machine,
    config: Config,
    branch: Branch,
    env: Env,
    place: Place,
    index: int,
    before: list[CallVars],
    choices: _Choices,
) -> Frame:
    """Return the frame of one ledger, with a copy of the call as it was before the block."""
    info = machine.accounts[index]
    call = replace(before[info.view])
    assert place.costs is not None
    costs: Costs = place.costs if info.dimension == MONEY else place.costs.counted_in(info.dimension)
    draw = choices.of(info.view)

    def emit(kind: str, amount: Num = None) -> None:
        env.emit(kind, amount, branch, config, Charge(index, call))

    frame = _frame(config.ledgers[index], call, costs, env.algebra, draw, emit)
    frame.chunks_left = place.chunks_left
    return frame


def _frame(
    ledger: Ledger, call: CallVars, costs: Costs, algebra: Algebra, draw: Draw, emit: Callable[..., None]
) -> Frame:
    return Frame(
        algebra=algebra, account=ledger, call=call, costs=costs, draw=draw, emit=emit, parent=ledger, child=ledger
    )


def _no_costs() -> Costs:
    none: Costs = None  # type: ignore[assignment]
    return none


def first_of_views(machine: Machine, ledgers: Iterable[int]) -> list[int]:
    """Return the first ledger of each view."""
    found: dict[int, int] = {}
    for index in ledgers:
        found.setdefault(machine.accounts[index].view, index)
    return list(found.values())


def _keep(machine: Machine, running: Running, frames: dict[int, Frame], before: list[CallVars]) -> None:
    """Put the variables of the call back, as the first ledger of each view left them."""
    calls = list(before)
    for index in first_of_views(machine, frames):
        calls[machine.accounts[index].view] = frames[index].call
    running.call, running.more = calls[0], calls[1:]


def _forget_call(running: Running) -> None:
    running.call = CallVars()
    running.more = [CallVars() for _ in running.more]
