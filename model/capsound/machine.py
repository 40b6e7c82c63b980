"""The machine of a scenario: its agents and slices as processes over atomic blocks.

``compile_scenario`` turns a scenario into processes, each a list of places; ``fire`` executes one branch of
one process. Both work on integers and on z3 terms alike, so that the explorer, the solver and the replay run
the very same transition relation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from capsound.affine import Op, Reuse, check_linear, parse_program
from capsound.costs import CallCosts, costs_of
from capsound.disciplines import Block, Discipline, Retry, get_discipline
from capsound.errors import BadDiscipline
from capsound.scenario import ROOT, Agents, Interval, Scenario, Stream
from capsound.steps import FORGET, RELEASE, Algebra, Bool, CallVars, Frame, Ledger, Num


def dead_at(place: int) -> int:
    """Return the place of a process that crashed at ``place``: below zero, so that nothing continues there."""
    return -1 - place


LEDGER_FIELDS = tuple(f.name for f in fields(Ledger))
CALL_FIELDS = tuple(f.name for f in fields(CallVars))


@dataclass(frozen=True, slots=True)
class Place:
    """One point of a process, before ``block`` is executed. Indices are into the process or the machine.

    ``phase``: ``new`` before admission, ``admitted`` before the request is sent, ``sent`` until the call is
    resolved, ``idle`` outside calls. ``refused`` is where a failed guard leads, after ``on_refuse``.
    """

    kind: str
    block: Block
    account: int
    next: int
    refused: int
    phase: str = "idle"
    holds: bool = False
    label: str = ""
    costs: CallCosts | None = None
    draws_size: bool = False
    on_refuse: Block = ()
    aborts: bool = False
    silent: bool = False
    end: int = 0
    start: int = 0
    send: int = 0
    parent: int = 0
    grant: Interval = Interval(0, 0)
    waits_open: bool = True
    after: tuple[int, ...] = ()
    chunks_left: int = 0
    number: int = 0

    @property
    def guarded(self) -> bool:
        """Whether the block can be refused."""
        return any(step.guard is not None for step in self.block)


@dataclass(frozen=True, slots=True)
class Process:
    """An agent or the owner of a slice.

    ``entry`` is which [[agents]] or [[slices]] of the file it comes from, ``number`` which agent of that entry.
    ``alone`` is an agent that no other can stand for. ``name`` and ``group`` are for people, who may give one name
    twice.
    """

    name: str
    group: str
    places: tuple[Place, ...]
    is_agent: bool = True
    entry: int = 0
    number: int = 1
    alone: bool = False

    @property
    def identity(self) -> tuple[bool, int, int]:
        """What tells the process from all others, in every machine of the same scenario."""
        return (self.is_agent, self.entry, self.number)

    @property
    def family(self) -> tuple[bool, int, int]:
        """The same for processes that are interchangeable, and for no others."""
        return (self.is_agent, self.entry, self.number if self.alone else 0)

    @property
    def done(self) -> int:
        """The place after the last one."""
        return len(self.places)


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One account of the machine: ``parent`` is an index, None for the root."""

    name: str
    parent: int | None
    grant: Interval


@dataclass(frozen=True, slots=True)
class Machine:
    """Processes, accounts and faults of one scenario."""

    scenario: Scenario
    discipline: Discipline
    accounts: tuple[AccountInfo, ...]
    processes: tuple[Process, ...]
    cap: Interval
    reuse: Reuse | None = None
    reuse_agent: str = ""

    @property
    def faults(self) -> tuple[int, int, int]:
        """How many cancellations, timeouts and crashes may be injected."""
        f = self.scenario.faults
        return (f.cancel, f.timeout, f.crash)

    @property
    def blocks(self) -> int:
        """The number of steps after which every process is done, when nothing is retried."""
        return sum(process.done for process in self.processes)

    def branches(self) -> Iterator[Branch]:
        """Yield every branch of every place of every process, in a fixed order."""
        cancels, timeouts, crashes = self.faults
        for index, process in enumerate(self.processes):
            for at, place in enumerate(process.places):
                yield Branch(index, at, "run")
                if place.guarded:
                    yield Branch(index, at, "refuse")
                if place.kind == "call":
                    begun = place.phase != "new" or not place.draws_size
                    if cancels and place.phase in ("admitted", "sent"):
                        yield Branch(index, at, "cancel")
                    if timeouts and place.phase == "sent":
                        yield Branch(index, at, "timeout")
                    if crashes and begun:
                        yield Branch(index, at, "crash")


@dataclass(frozen=True, slots=True)
class Branch:
    """One way in which one process leaves one place."""

    process: int
    place: int
    kind: str


@dataclass(slots=True)
class Running:
    """A process in execution."""

    at: Num
    call: CallVars = field(default_factory=CallVars)


@dataclass(slots=True)
class Config:
    """A state of the machine. ``opened`` is 1 once an account exists; ``faults`` are those still to come."""

    ledgers: list[Ledger]
    opened: list[Num]
    running: list[Running]
    faults: list[Num]

    def copy(self) -> Config:
        """Return a copy that can be changed without changing this one."""
        return Config(
            [replace(ledger) for ledger in self.ledgers],
            list(self.opened),
            [Running(r.at, replace(r.call)) for r in self.running],
            list(self.faults),
        )

    def flat(self) -> tuple[Num, ...]:
        """Return every variable in a fixed order."""
        out: list[Num] = []
        for ledger in self.ledgers:
            out.extend(getattr(ledger, name) for name in LEDGER_FIELDS)
        out.extend(self.opened)
        for r in self.running:
            out.append(r.at)
            out.extend(getattr(r.call, name) for name in CALL_FIELDS)
        out.extend(self.faults)
        return tuple(out)


def thaw(machine: Machine, values: tuple[Num, ...]) -> Config:
    """Return the state whose variables have these values; the inverse of ``Config.flat``."""
    take = iter(values)
    ledgers = [Ledger(*(next(take) for _ in LEDGER_FIELDS)) for _ in machine.accounts]
    opened = [next(take) for _ in machine.accounts]
    running = [Running(next(take), CallVars(*(next(take) for _ in CALL_FIELDS))) for _ in machine.processes]
    return Config(ledgers, opened, running, list(take))


def variable_names(machine: Machine) -> tuple[str, ...]:
    """Return a name for every variable, in the order of ``Config.flat``."""
    names = [f"{a.name}.{f}" for a in machine.accounts for f in LEDGER_FIELDS]
    names += [f"{a.name}.opened" for a in machine.accounts]
    for process in machine.processes:
        names.append(f"{process.name}.at")
        names += [f"{process.name}.{f}" for f in CALL_FIELDS]
    return (*names, "faults.cancel", "faults.timeout", "faults.crash")


def initial(machine: Machine, cap: Num) -> Config:
    """Return the state before anything has happened, for a cap of ``cap`` units."""
    ledgers = [Ledger() for _ in machine.accounts]
    ledgers[0].granted = cap
    ledgers[0].available = cap
    return Config(
        ledgers,
        [1] + [0] * (len(machine.accounts) - 1),
        [Running(0) for _ in machine.processes],
        list(machine.faults),
    )


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
            running.call = CallVars()
    else:
        conditions.append(env.algebra.negate(fits))
        if _impossible(conditions):
            return [False]
        if not place.silent:
            frame.emit("refuse", _wanted(place, frame))
        for step in place.on_refuse:
            step.effect(frame)
        running.at = place.refused
        if place.kind == "delegate":
            config.opened[place.account] = 1
        if not place.aborts:
            running.call = CallVars()
    return conditions


def waits(machine: Machine, config: Config, place: Place, frame: Frame) -> list[Bool]:
    """Return the conditions without which the process is blocked at ``place``."""
    conditions: list[Bool] = [config.opened[place.parent] == 1]
    if place.waits_open:
        conditions.append(config.opened[place.account] == 1)
    conditions += [_finished(frame.algebra, machine, config, other) for other in place.after]
    return conditions + [step.waits(frame) for step in place.block if step.waits is not None]


def blocked(machine: Machine, config: Config, index: int, at: int, algebra: Algebra) -> Bool:
    """Return whether process ``index``, if it is at place ``at``, cannot take a step of its own."""
    place = machine.processes[index].places[at]
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
    result: Bool = False
    for condition in waits(machine, config, place, frame):
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
    running.call = CallVars()
    running.at = place.start if branch.kind == "timeout" and d.retry is Retry.NEW_HOLD else place.end
    return conditions


def _before_send(d: Discipline, place: Place) -> Block:
    """Return what gives up a call before it is sent: a hold that was not taken yet is not released."""
    return d.before_send if place.holds else tuple(FORGET if step is RELEASE else step for step in d.before_send)


def _finished(algebra: Algebra, machine: Machine, config: Config, index: int) -> Bool:
    """Return whether a process has nothing left to do, or never will."""
    at = config.running[index].at
    return algebra.either(at == machine.processes[index].done, at < 0)


def _impossible(conditions: list[Bool]) -> bool:
    return any(condition is False for condition in conditions)


class _NoCosts:
    """The costs of a place that is no call: asking for them is a bug."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


_NO_COSTS: Any = _NoCosts()


# --------------------------------------------------------------------------------------------- compiling


TOLD_APART = 64
"""How many agents of one group are told apart at most: replay tokens number the processes of that machine."""


def compile_scenario(scenario: Scenario, *, limit: int | None = None, discipline: Discipline | None = None) -> Machine:
    """Return the machine of a scenario; ``limit`` bounds how many agents of one group are told apart.

    Raises ``BadDiscipline`` for a discipline that is not known, or that cannot run the scenario's calls.
    """
    return _Compiler(scenario, discipline or get_discipline(scenario.discipline), limit).machine()


def _chunks_left(d: Discipline, extra: int, offset: int) -> int:
    """Return how many chunks of a stream are still to come at the ``offset``-th block after the first chunk."""
    return max(0, (extra - max(0, offset)) // max(1, len(d.stream)))


class _Compiler:
    """Builds accounts and processes in the order in which the file lists them."""

    def __init__(self, scenario: Scenario, discipline: Discipline, limit: int | None) -> None:
        self.scenario = scenario
        self.discipline = discipline
        self.limit = limit
        self.accounts = [AccountInfo(ROOT, None, scenario.cap)]
        self.index = {ROOT: 0}
        self.processes: list[Process] = []
        self.users: dict[int, list[int]] = {0: []}
        self.reuse: Reuse | None = None
        self.reuse_agent = ""

    def machine(self) -> Machine:
        pending = list(self.scenario.slices)
        while pending:
            ready = [s for s in pending if s.parent in self.index]
            if not ready:
                raise BadDiscipline(f"the slices {[s.name for s in pending]} have no parent")
            for item in ready:
                self._account(item.name, self.index[item.parent], item.grant)
                pending.remove(item)
        owners = {item.name: self._reserve_process() for item in self.scenario.slices}
        for entry, agents in enumerate(self.scenario.agents):
            for number in range(1, self._count(agents) + 1):
                self._agent(agents, entry, number)
        for item in self.scenario.slices:
            self._slice(item.name, owners[item.name])
        return Machine(
            self.scenario,
            self.discipline,
            tuple(self.accounts),
            tuple(self.processes),
            self.scenario.cap,
            self.reuse,
            self.reuse_agent,
        )

    def _count(self, agents: Agents) -> int:
        count = agents.count if agents.count is not None else (self.limit or TOLD_APART)
        return count if self.limit is None else min(count, self.limit)

    def _account(self, name: str, parent: int, grant: Interval) -> int:
        self.accounts.append(AccountInfo(name, parent, grant))
        self.index[name] = len(self.accounts) - 1
        self.users[self.index[name]] = []
        return self.index[name]

    def _reserve_process(self) -> int:
        self.processes.append(Process("", "", ()))
        return len(self.processes) - 1

    def _slice(self, name: str, at: int) -> None:
        account = self.index[name]
        info = self.accounts[account]
        assert info.parent is not None
        close = bool(self.discipline.close)
        places = [self._delegate(account, info.parent, info.grant, after=1)]
        if close:
            owners = [self._owner(other.name) for other in self.scenario.slices if other.parent == name]
            after = tuple(dict.fromkeys((*self.users[account], *owners)))
            places.append(self._close(account, info.parent, end=2, after=after))
        self.processes[at] = Process(f"slice {name}", f"slice {name}", tuple(places), is_agent=False, entry=at)

    def _owner(self, name: str) -> int:
        return [s.name for s in self.scenario.slices].index(name)

    def _delegate(self, account: int, parent: int, grant: Interval, *, after: int) -> Place:
        return Place(
            "delegate",
            self.discipline.delegate,
            account=account,
            parent=parent,
            next=after,
            refused=after,
            end=after,
            grant=grant,
            waits_open=False,
            label="delegate",
        )

    def _close(self, account: int, parent: int, *, end: int, after: tuple[int, ...]) -> Place:
        return Place(
            "close",
            self.discipline.close,
            account=account,
            parent=parent,
            next=end,
            refused=end,
            end=end,
            silent=True,
            after=after,
            label="close",
        )

    def _agent(self, agents: Agents, entry: int, number: int) -> None:
        many = agents.count != 1
        name = f"{agents.name}-{number}" if many else agents.name
        places: list[Place] = []
        account = self.index[agents.account]
        own = None
        me = len(self.processes)
        if agents.program:
            self._program(agents, name, places)
        else:
            if agents.own_slice is not None:
                own = self._account(f"{name}/slice", account, agents.own_slice)
                places.append(self._delegate(own, account, agents.own_slice, after=1))
                account = own
            for earlier in range(agents.calls):
                self._call(places, account, costs_of(self.scenario, agents.call, earlier), earlier)
            if own is not None and self.discipline.close:
                parent = self.accounts[own].parent
                assert parent is not None
                places.append(self._close(own, parent, end=len(places) + 1, after=()))
        self.users[self.index[agents.account]].append(me)
        # Agents with accounts of their own are interchangeable too, but only together with those accounts;
        # the explorer does not permute accounts, so they get groups of their own.
        alone = own is not None or bool(agents.program)
        group = f"{agents.name}#{number}" if alone else agents.name
        self.processes.append(Process(name, group, tuple(places), entry=entry, number=number, alone=alone))

    def _call(self, places: list[Place], account: int, costs: CallCosts, number: int) -> None:
        d = self.discipline
        start = len(places)
        blocks = list(d.blocks)
        sent = d.sending
        extra: list[Block] = []
        if d.streams:
            if not isinstance(costs.cost, Stream):
                raise BadDiscipline(
                    f"discipline {d.name!r} needs streamed calls",
                    hint="give the call `chunk` and `chunks` instead of an estimate",
                )
            extra = [block for _ in range(costs.cost.chunks - 1) for block in d.stream]
            blocks = blocks[: sent + 1] + extra + blocks[sent + 1 :]
        elif isinstance(costs.cost, Stream):
            raise BadDiscipline(
                f"discipline {d.name!r} does not stream",
                hint="use stream-extend, or give an estimate and a bill",
            )
        end = start + len(blocks)
        send = start + sent
        settle = send + 1 + len(extra)
        admitted = False
        holds = False
        for offset, block in enumerate(blocks):
            at = start + offset
            phase = "sent" if at > send else "admitted" if admitted else "new"
            aborts = phase == "sent" and any(step.guard is not None for step in block)
            places.append(
                Place(
                    "call",
                    block,
                    account=account,
                    parent=account,
                    next=at + 1,
                    refused=settle if aborts else end,
                    phase=phase,
                    holds=holds,
                    label="+".join(step.name for step in block),
                    costs=costs,
                    draws_size=offset == 0,
                    on_refuse=d.on_abort if aborts else d.on_refuse,
                    aborts=aborts,
                    end=end,
                    start=start,
                    send=send,
                    chunks_left=_chunks_left(d, len(extra), offset - sent - 1),
                    number=number,
                )
            )
            admitted = admitted or any("admits" in step.tags for step in block)
            holds = holds or any("holds" in step.tags for step in block)

    def _program(self, agents: Agents, name: str, places: list[Place]) -> None:
        """Compile explicit handle operations; a second use is noted, and rejected if handles are affine."""
        shared = [ROOT, *(item.name for item in self.scenario.slices)]
        ops = parse_program(agents.program, shared)
        reuse = check_linear(ops, shared)
        if reuse is not None and self.reuse is None:
            self.reuse, self.reuse_agent = reuse, name
        handles = {item: self.index[item] for item in shared}
        for earlier, op in enumerate(ops):
            self._op(op, name, places, handles, agents, earlier)

    def _op(
        self, op: Op, name: str, places: list[Place], handles: dict[str, int], agents: Agents, earlier: int
    ) -> None:
        source = handles[op.handle]
        if op.verb == "delegate":
            assert op.amount is not None
            assert op.result is not None
            grant = Interval.exactly(op.amount)
            child = self._account(f"{name}/{op.result}", source, grant)
            handles[op.result] = child
            places.append(self._delegate(child, source, grant, after=len(places) + 1))
        elif op.verb == "call":
            account = source
            if op.result is not None:
                account = self._account(f"{name}/{op.result}", source, Interval(0, 0))
                handles[op.result] = account
                after = len(places) + 1
                moved = self._delegate(account, source, Interval(0, 0), after=after)
                places.append(replace(moved, kind="move", block=self.discipline.move, label="move"))
            self._call(places, account, costs_of(self.scenario, agents.call, 0), earlier)
        elif op.verb == "close":
            parent = self.accounts[source].parent
            if parent is not None and self.discipline.close:
                places.append(self._close(source, parent, end=len(places) + 1, after=()))
