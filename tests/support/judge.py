"""A judge of scenarios that shares nothing with the engines: written from docs/disciplines.md and docs/scenarios.md.

It visits every state of a small scenario, one step of one process at a time, and says by how few steps the cap and the
slices are overshot. It knows a scenario as it was loaded, and neither the compiled machine, nor the steps and the
predicates of the model, nor a solver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from capsound.scenario import Interval, Plain, Scenario

BLOCKS: dict[str, str] = {
    "four-line-counter": "check+send+debit",
    "racy-counter": "check send debit",
    "lost-update-counter": "check send read write",
    "lock-whole-call": "lock check send debit+unlock",
    "reserve-settle": "check+reserve send settle",
    "two-phase": "check reserve send settle",
    "settle-capped": "check+reserve send settle-capped",
    "release-on-cancel": "check+reserve send settle",
    "forfeit-on-cancel": "check+reserve send settle",
    "record-after": "check-spent send debit",
    "prepay": "check+reserve send forfeit",
    "split-per-agent": "check+reserve send forfeit",
    "split-and-return": "check+reserve send settle",
    "copied-slices": "check+reserve send settle",
    "retry-same-hold": "check+reserve send settle",
    "retry-new-hold": "check+reserve send settle",
}
"""The life of a call: what stands between two blanks happens at once."""

AFTER_SEND = {"release-on-cancel": "release"}
CLOSING = frozenset({"split-and-return"})
COPYING = frozenset({"copied-slices"})
DONE = -1


class Account(NamedTuple):
    """What a ledger has, and below it what was truly billed."""

    opened: bool = False
    free: int = 0
    held: int = 0
    spent: int = 0
    granted: int = 0
    returned: int = 0
    locked: bool = False
    billed: int = 0


class Process(NamedTuple):
    """Who is where: ``at`` is an index into its steps, ``DONE`` after the last one and after a crash."""

    at: int = 0
    crashed: bool = False
    estimate: int = 0
    cover: int = 0
    bill: int = 0
    told: int = 0
    seen: int = 0


class State(NamedTuple):
    """Everything: accounts, processes, and the faults that are left (cancel, timeout, crash)."""

    accounts: tuple[Account, ...]
    processes: tuple[Process, ...]
    faults: tuple[int, int, int]


@dataclass(frozen=True)
class Step:
    """One step of a process: a block of a call, or the opening or closing of a slice."""

    kind: str
    account: int
    block: tuple[str, ...] = ()
    cost: Plain | None = None
    first: int = 0
    last: int = 0
    send: int = 0
    grant: Interval = Interval(0, 0)
    parent: int = 0


@dataclass
class Judged:
    """What the judge found: by how few steps a property breaks, and the largest overshoot."""

    shortest: dict[str, int] = field(default_factory=dict)
    overshoot: int = 0
    complete: bool = True
    states: int = 0


class Judge:
    """Every run of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.name = scenario.discipline
        self.parents: list[int] = [-1]
        self.steps: list[list[Step]] = []
        self.users: dict[int, list[int]] = {}
        self.grants: list[Interval] = [Interval(0, 0)]
        where = {"root": 0}
        pending = list(scenario.slices)
        while pending:
            piece = next(p for p in pending if p.parent in where)
            pending.remove(piece)
            where[piece.name] = self._account(where[piece.parent], piece.grant)
        owners = {}
        for piece in scenario.slices:
            owners[where[piece.name]] = len(self.steps)
            self.steps.append([self._opening(where[piece.name])])
        for agents in scenario.agents:
            for _ in range(agents.count or 1):
                account, steps = where[agents.account], list[Step]()
                self.users.setdefault(account, []).append(len(self.steps))
                own = agents.own_slice
                if own is not None:
                    account = self._account(account, own)
                    steps.append(self._opening(account))
                for _call in range(agents.calls):
                    self._call(steps, account, scenario.call(agents.call).cost)
                if own is not None and self.name in CLOSING:
                    steps.append(Step("close", account, parent=self.parents[account]))
                self.steps.append(steps)
        self.waits: dict[int, list[int]] = {}
        for account, owner in owners.items():
            if self.name in CLOSING:
                self.steps[owner].append(Step("close", account, parent=self.parents[account]))
            below = [o for other, o in owners.items() if self.parents[other] == account]
            self.waits[owner] = [*self.users.get(account, []), *below]

    def _account(self, parent: int, grant: Interval) -> int:
        self.parents.append(parent)
        self.grants.append(grant)
        return len(self.parents) - 1

    def _opening(self, account: int) -> Step:
        return Step("open", account, grant=self.grants[account], parent=self.parents[account])

    def _call(self, steps: list[Step], account: int, cost: Any) -> None:
        assert isinstance(cost, Plain)
        blocks = [tuple(block.split("+")) for block in BLOCKS[self.name].split()]
        send = next(i for i, block in enumerate(blocks) if "send" in block)
        first = len(steps)
        end = first + len(blocks)
        steps.extend(Step("call", account, block, cost, first, end, first + send) for block in blocks)

    # ---------------------------------------------------------------------------------------- searching

    def judge(self, most: int = 30_000) -> Judged:
        """Visit every state, nearest first."""
        out = Judged()
        f = self.scenario.faults
        cap = self.scenario.cap.lo
        root = Account(True, free=cap, granted=cap)
        start = State(
            (root, *[Account() for _ in self.parents[1:]]),
            tuple(Process() if steps else Process(DONE) for steps in self.steps),
            (f.cancel, f.timeout, f.crash),
        )
        level, seen, depth = [start], {start}, 0
        while level:
            for state in level:
                self._look(state, depth, out)
            following: list[State] = []
            for state in level:
                for after in self.successors(state):
                    if after not in seen:
                        seen.add(after)
                        following.append(after)
                if len(seen) > most:
                    out.complete = False
                    return out
            level, depth = following, depth + 1
        out.states = len(seen)
        return out

    def _look(self, state: State, depth: int, out: Judged) -> None:
        over = sum(account.billed for account in state.accounts) - state.accounts[0].granted
        out.overshoot = max(out.overshoot, over)
        if over > 0:
            out.shortest.setdefault("cap", depth)
        for index, account in enumerate(state.accounts[1:], start=1):
            if self._billed(state, index) > account.granted - account.returned:
                out.shortest.setdefault("slice", depth)

    def _billed(self, state: State, account: int) -> int:
        below = sum(self._billed(state, i) for i, parent in enumerate(self.parents) if parent == account)
        return state.accounts[account].billed + below

    def successors(self, state: State) -> Iterator[State]:
        """Yield every state that one step leads to."""
        for index, process in enumerate(state.processes):
            if process.at == DONE:
                continue
            step = self.steps[index][process.at]
            if step.kind == "call":
                yield from self._calls(state, index, step)
                yield from self._faults(state, index, step)
            elif step.kind == "open":
                yield from self._opens(state, index, step)
            else:
                yield from self._closes(state, index, step)

    def _moved(self, state: State, index: int, at: int, process: Process) -> tuple[Process, ...]:
        there = DONE if at >= len(self.steps[index]) else at
        processes = list(state.processes)
        processes[index] = process._replace(at=there)
        return tuple(processes)

    # --------------------------------------------------------------------------------------------- slices

    def _opens(self, state: State, index: int, step: Step) -> Iterator[State]:
        parent = state.accounts[step.parent]
        if not parent.opened:
            return
        assert step.grant.hi is not None
        for grant in range(step.grant.lo, step.grant.hi + 1):
            accounts = list(state.accounts)
            given = grant if parent.free >= grant else 0
            if self.name not in COPYING:
                accounts[step.parent] = parent._replace(free=parent.free - given)
            accounts[step.account] = Account(True, free=given, granted=given)
            at = state.processes[index].at + 1
            yield State(tuple(accounts), self._moved(state, index, at, Process()), state.faults)

    def _closes(self, state: State, index: int, step: Step) -> Iterator[State]:
        if any(state.processes[other].at != DONE for other in self.waits.get(index, [])):
            return
        accounts = list(state.accounts)
        mine = accounts[step.account]
        if mine.held == 0:
            accounts[step.parent] = accounts[step.parent]._replace(free=accounts[step.parent].free + mine.free)
            accounts[step.account] = mine._replace(free=0, returned=mine.returned + mine.free)
        at = state.processes[index].at + 1
        yield State(tuple(accounts), self._moved(state, index, at, Process()), state.faults)

    # ---------------------------------------------------------------------------------------------- calls

    def _calls(self, state: State, index: int, step: Step) -> Iterator[State]:
        account, process = state.accounts[step.account], state.processes[index]
        if not account.opened or ("lock" in step.block and account.locked):
            return
        assert step.cost is not None
        for estimate in _each(step.cost.estimate) if process.at == step.first else [process.estimate]:
            me = process._replace(estimate=estimate)
            fits = all(
                account.free >= estimate if name == "check" else account.free > 0
                for name in step.block
                if name in ("check", "check-spent")
            )
            if not fits:
                left = account._replace(locked=False) if self.name == "lock-whole-call" else account
                yield self._with(state, index, step, left, Process(), step.last)
                continue
            for done, mine in self._block(step, account, me):
                at = process.at + 1
                yield self._with(state, index, step, done, mine if at < step.last else Process(), at)

    def _with(self, state: State, index: int, step: Step, account: Account, process: Process, at: int) -> State:
        accounts = list(state.accounts)
        accounts[step.account] = account
        return State(tuple(accounts), self._moved(state, index, at, process), state.faults)

    def _block(self, step: Step, account: Account, process: Process) -> Iterator[tuple[Account, Process]]:
        assert step.cost is not None
        ways = [(account, process)]
        for name in step.block:
            ways = [after for a, p in ways for after in self._primitive(name, step.cost, a, p)]
        yield from ways

    def _primitive(self, name: str, cost: Plain, a: Account, p: Process) -> Iterator[tuple[Account, Process]]:
        match name:
            case "check" | "check-spent":
                yield a, p._replace(cover=p.estimate)
            case "reserve":
                yield a._replace(free=a.free - p.cover, held=a.held + p.cover), p
            case "send":
                for bill in self._bills(cost, p.cover):
                    for told in [bill] if self.scenario.assume.a7 else range(bill + 1):
                        yield a._replace(billed=a.billed + bill), p._replace(bill=p.bill + bill, told=told)
            case "settle" | "settle-capped":
                paid = min(p.told, p.cover) if name == "settle-capped" else p.told
                yield a._replace(free=a.free + p.cover - paid, held=a.held - p.cover, spent=a.spent + paid), p
            case "debit":
                yield a._replace(free=a.free - p.told, spent=a.spent + p.told), p
            case "read":
                yield a, p._replace(seen=a.spent)
            case "write":
                spent = p.seen + p.told
                yield a._replace(free=a.free + a.spent - spent, spent=spent), p
            case "forfeit":
                yield a._replace(held=a.held - p.cover), p
            case "release":
                yield a._replace(held=a.held - p.cover, free=a.free + p.cover), p
            case "lock" | "unlock":
                yield a._replace(locked=name == "lock"), p
            case _:
                raise AssertionError(name)

    def _bills(self, cost: Plain, cover: int) -> range:
        assume = self.scenario.assume
        most = cost.bill.hi
        assert most is not None
        if assume.a1:
            most = min(most, cover)
        elif assume.shortfall is not None:
            most = min(most, cover * assume.shortfall.numerator // assume.shortfall.denominator)
        return range(cost.bill.lo, most + 1)

    # --------------------------------------------------------------------------------------------- faults

    def _faults(self, state: State, index: int, step: Step) -> Iterator[State]:
        process = state.processes[index]
        sent = process.at > step.send
        begun = process.at > step.first
        done = [name for s in self.steps[index][step.first : process.at] for name in s.block]
        admitted = any(name.startswith("check") for name in done)
        for kind, possible in enumerate((admitted, sent, begun)):
            if not possible or not state.faults[kind]:
                continue
            faults = tuple(left - (i == kind) for i, left in enumerate(state.faults))
            if kind == 2:
                processes = list(state.processes)
                processes[index] = process._replace(at=DONE, crashed=True)
                after = State(state.accounts, tuple(processes), state.faults)
            elif kind == 1 and self.name == "retry-same-hold":
                after = State(state.accounts, self._moved(state, index, step.send, process), state.faults)
            else:
                account = state.accounts[step.account]
                if "reserve" in done:
                    what = AFTER_SEND.get(self.name, "forfeit") if sent else "release"
                    ((account, _),) = self._primitive(what, Plain(Interval(0, 0), Interval(0, 0)), account, process)
                if self.name == "lock-whole-call":
                    account = account._replace(locked=False)
                again = kind == 1 and self.name == "retry-new-hold"
                after = self._with(state, index, step, account, Process(), step.first if again else step.last)
            yield after._replace(faults=faults)  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------- contradictions

    def contradictory(self) -> bool:
        """Return whether some call of some agent can never be billed."""
        return any(
            not any(self._bills(step.cost, estimate) for estimate in _each(step.cost.estimate))
            for steps in self.steps
            for step in steps
            if step.cost is not None
        )


def _each(interval: Interval) -> range:
    assert interval.hi is not None
    return range(interval.lo, interval.hi + 1)
