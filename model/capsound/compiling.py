"""From a scenario to its machine: agents and slices become processes over the atomic blocks of the discipline."""

from __future__ import annotations

from dataclasses import replace

from capsound.affine import Op, Reuse, check_linear, parse_program
from capsound.costs import CallCosts, costs_of
from capsound.disciplines import Block, Discipline, get_discipline
from capsound.errors import BadDiscipline
from capsound.processes import AccountInfo, Machine, Place, Process
from capsound.scenario import ROOT, Agents, Interval, Scenario, Stream

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
        numbered = agents.count != 1
        name = f"{agents.name}-{number}" if numbered else agents.name
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
            for index in range(agents.calls):
                self._call(places, account, costs_of(self.scenario, agents.call, index), index)
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
        for index, op in enumerate(ops):
            self._op(op, name, places, handles, agents, index)

    def _op(self, op: Op, name: str, places: list[Place], handles: dict[str, int], agents: Agents, index: int) -> None:
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
            self._call(places, account, costs_of(self.scenario, agents.call, 0), index)
        elif op.verb == "close":
            parent = self.accounts[source].parent
            if parent is not None and self.discipline.close:
                places.append(self._close(source, parent, end=len(places) + 1, after=()))
