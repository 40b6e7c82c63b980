"""From a scenario to its machine: agents and slices become processes over the atomic blocks of the discipline."""

from __future__ import annotations

from dataclasses import replace

from capsound.affine import Op, Reuse, check_linear, parse_program
from capsound.charging import call_places, ceiling_accounts, chunks_left, clock, windows_of, with_chunks
from capsound.costs import CallCosts, costs_of
from capsound.disciplines import Block, Discipline, Retry, get_discipline
from capsound.errors import BadDiscipline
from capsound.processes import AccountInfo, Machine, Place, Process
from capsound.scenario import BUCKET, HELD, MONEY, ROOT, Agents, Interval, Scenario
from capsound.sliding import ages, entries_of
from capsound.steps import ADMIT
from capsound.stores import INHERIT, MORE, ROLL_UP

TOLD_APART = 64
"""How many agents of one group are told apart at most: replay tokens number the processes of that machine."""


def compile_scenario(scenario: Scenario, *, limit: int | None = None, discipline: Discipline | None = None) -> Machine:
    """Return the machine of a scenario; ``limit`` bounds how many agents of one group are told apart.

    Raises ``BadDiscipline`` for a discipline that is not known, or that cannot run the scenario's calls.
    """
    return _Compiler(scenario, discipline or discipline_of(scenario), limit).machine()


def discipline_of(scenario: Scenario) -> Discipline:
    """Return the discipline of a scenario: the table of its file, or the one that it names."""
    return scenario.table or get_discipline(scenario.discipline)


def _unchecked(block: Block) -> Block:
    """Return the block of a call that is not the first of its turn: it is admitted as the whole turn was."""
    kept = (step for step in block if step.guard is None or "admits" in step.tags)
    return tuple(ADMIT if "admits" in step.tags else step for step in kept)


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
        self.views = 1
        self.forgetful: frozenset[int] = frozenset()
        self.alone = scenario.stands_alone or discipline.one_by_one
        if self.alone:
            self._alone()

    def _alone(self) -> None:
        """Make each account a ceiling that stands alone. Raises ``BadDiscipline`` for what does not go with that."""
        scenario = self.scenario
        odd = {
            "slices": bool(scenario.slices) or any(a.own_slice is not None or a.inherits for a in scenario.agents),
            "programs of handles": any(agents.program for agents in scenario.agents),
            "calls that must be affordable": any(agents.affordable for agents in scenario.agents),
        }
        for other in odd:
            if odd[other]:
                what = "ceilings" if scenario.ceilings else "windows" if scenario.window else "holds that expire"
                what = what if scenario.stands_alone else f"discipline {self.discipline.name!r}"
                raise BadDiscipline(
                    f"{what} and {other} do not go together",
                    hint="say with [[ceilings]] what each agent may spend at most, or ask about each by itself",
                )
        assume = scenario.assume
        if not (assume.a7 and assume.a10) and any(ceiling.dimension != MONEY for ceiling in scenario.ceilings):
            name = "A7" if not assume.a7 else "A10"
            raise BadDiscipline(
                f"without {name}, ceilings in tokens or requests are not understood yet",
                cause="how often a request is repeated, or what is told of it, is drawn in money only",
                hint=f'assume {name}, or give these ceilings dimension = "money"',
            )
        self.accounts, self.views = ceiling_accounts(scenario, self.discipline)
        self.index = {account.name: number for number, account in enumerate(self.accounts)}
        windows = enumerate(windows_of(scenario))
        self.forgetful = frozenset(i for i, window in windows if window is not None and not window.keeps)

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
        self._wait()
        for item in self.scenario.slices:
            self._slice(item.name, owners[item.name])
        sliding: list[int] = []
        for index, window in enumerate(windows_of(self.scenario)):
            if window is not None and window.slides:
                sliding.append(index)
            elif window is not None:
                self.processes.append(clock(index, self.accounts[index].name, window, index))
        past, linked = self._slide(sliding)
        return Machine(
            self.scenario,
            self.discipline,
            tuple(self.accounts),
            tuple(self.processes),
            self.scenario.cap,
            self.reuse,
            self.reuse_agent,
            self.alone,
            self.views,
            tuple(sliding),
            past,
            linked,
        )

    def _slide(self, sliding: list[int]) -> tuple[int, bool]:
        """Add what lets time pass; return how many entries a state has, and whether calls know those of their holds.

        Raises ``BadDiscipline`` for steps of which nobody has thought through what would leave a window.
        """
        if not sliding:
            return 0, False
        windows = [window for window in windows_of(self.scenario) if window is not None and window.slides]
        odd = {"read", "write"} & {step.name for block in self.discipline.blocks for step in block}
        if odd:
            raise BadDiscipline(
                f"discipline {self.discipline.name!r} writes back what it read, of which nothing can leave a window",
                hint='ask about it with a window that begins anew, such as "every 24 h"',
            )
        linked = any(not window.keeps or window.forgets == HELD for window in windows)
        timeouts = self.scenario.faults.timeout if self.discipline.retry is not Retry.NEVER else 0
        past = entries_of(self.processes, timeouts, self.scenario.spent, linked=linked)
        keeps = all(window.keeps for window in windows)
        self.processes.append(ages(tuple(sliding), len(self.accounts), keeps=keeps))
        every = enumerate(windows_of(self.scenario))
        dropped = tuple(i for i, window in every if window is not None and window.forgets == BUCKET)
        if dropped:
            self.processes.append(ages(dropped, len(self.accounts) + 1, keeps=True, buckets=True))
        return past, linked

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
        account = self.index.get(agents.account, 0)
        own = None
        me = len(self.processes)
        if self.alone:
            ledgers = [self.index[charged] for charged in self.scenario.charges(agents)]
            ledgers.sort(key=lambda index: self.accounts[index].view != 0)  # who counts money chooses first
            choices: list[int] = []
            for index in range(agents.calls):
                if agents.up_to:
                    choices.append(len(places))
                    places.append(one_more(0, len(places)))
                costs = costs_of(self.scenario, agents.call, index)
                for ledger in ledgers:
                    costs.counted_in(self.accounts[ledger].dimension)  # refused here where it is not known
                places += call_places(
                    self.discipline,
                    ledgers,
                    costs,
                    len(places),
                    index,
                    forgetful=self.forgetful,
                    expires=bool(self.scenario.faults.expire),
                )
            for at in choices:
                places[at] = replace(places[at], refused=len(places))
        elif agents.program:
            self._program(agents, name, places)
        else:
            if agents.own_slice is not None:
                own = self._account(f"{name}/slice", account, agents.own_slice)
                places.append(self._delegate(own, account, agents.own_slice, after=1))
                account = own
            elif agents.inherits:
                own = self._account(f"{name}/slice", account, Interval(0, self.scenario.cap.hi))
                opened = self._delegate(own, account, Interval(0, 0), after=1)
                places.append(replace(opened, block=(INHERIT,), label="inherit"))
                account = own
            self._calls(places, account, agents)
            if own is not None and (agents.inherits or self.discipline.close):
                parent = self.accounts[own].parent
                assert parent is not None
                ended = self._close(own, parent, end=len(places) + 1, after=())
                places.append(replace(ended, block=(ROLL_UP,), label="roll up") if agents.inherits else ended)
        self.users.setdefault(0 if self.scenario.stands_alone else self.index[agents.account], []).append(me)
        # Agents with accounts of their own are interchangeable too, but only together with those accounts;
        # the explorer does not permute accounts, so they get groups of their own.
        alone = own is not None or bool(agents.program)
        group = f"{agents.name}#{number}" if alone else agents.name
        self.processes.append(Process(name, group, tuple(places), entry=entry, number=number, alone=alone))

    def _calls(self, places: list[Place], account: int, agents: Agents) -> None:
        """Add the calls of one agent; where it may stop after any of them, a choice in front of each."""
        choices: list[int] = []
        for index in range(agents.calls):
            if agents.up_to:
                choices.append(len(places))
                places.append(one_more(account, len(places)))
            # A turn that is refused makes none of its calls.
            left = min(self.discipline.turn, agents.calls - index) if index % self.discipline.turn == 0 else 1
            self._call(places, account, costs_of(self.scenario, agents.call, index), index, left, between=agents.up_to)
        for at in choices:
            places[at] = replace(places[at], refused=len(places))

    def _wait(self) -> None:
        """Let agents wait at their first place for those that they come after."""
        members: dict[str, tuple[int, ...]] = {}
        for entry, agents in enumerate(self.scenario.agents):
            mine = [i for i, process in enumerate(self.processes) if process.is_agent and process.entry == entry]
            members[agents.name] = tuple(mine)
        for agents in self.scenario.agents:
            others = tuple(index for name in agents.after for index in members.get(name, ()))
            for index in members[agents.name] if others else ():
                process = self.processes[index]
                first = replace(process.places[0], after=others)
                self.processes[index] = replace(process, places=(first, *process.places[1:]))

    def _call(
        self,
        places: list[Place],
        account: int,
        costs: CallCosts,
        number: int,
        left: int = 1,
        *,
        between: bool = False,
    ) -> None:
        """Add one call; ``left`` of its turn are left, itself included, with a choice ``between`` each two of them."""
        d = self.discipline
        start = len(places)
        blocks = with_chunks(d, costs, [_unchecked(block) for block in d.blocks] if number % d.turn else d.blocks)
        sent, extra = d.sending, len(blocks) - len(d.blocks)
        end = start + len(blocks)
        turned_down = start + left * len(blocks) + (left - 1) * between
        send = start + sent
        settle = send + 1 + extra
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
                    refused=settle if aborts else turned_down,
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
                    chunks_left=chunks_left(d, extra, offset - sent - 1),
                    number=number,
                )
            )
            admitted = admitted or any("admits" in step.tags for step in block)
            holds = holds or any("holds" in step.tags for step in block)

    def _program(self, agents: Agents, name: str, places: list[Place]) -> None:
        """Compile explicit handle operations; a second use is noted, and rejected if handles are affine."""
        if self.discipline.turn > 1:
            raise BadDiscipline(
                f"discipline {self.discipline.name!r} checks once for a turn, and a program has none",
                hint="leave turn out, or give the agents calls in place of a program",
            )
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


def one_more(account: int, at: int) -> Place:
    """Return the place at which an agent decides whether it makes one more call; where it stops is not known yet."""
    more = Place("more", (MORE,), account=account, parent=account, next=at + 1, refused=at + 1, end=at + 1)
    return replace(more, silent=True, label="one more call?")
