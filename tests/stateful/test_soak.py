"""Many agents on one budget for a while: eight threads, each with an event loop and eight tasks of its own.

So that both kinds of interleaving happen at once: threads that are stopped anywhere, and tasks that are cancelled
where they wait. What was truly billed, and what each account may spend, is kept here and never asked of the budget;
every bill is checked against it at once. An agent is alone on the slices that it has made itself, so that it knows
to the unit what is free there, and a refusal for no reason is found too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from capsound_reference import Budget, BudgetRefused, Hold, HoldState

THREADS, TASKS, STEPS, CAP = 8, 8, 40, 1_500


class Boom(Exception):
    """An error of the provider."""


class Truth:
    """What was really billed, and what may be, by path."""

    def __init__(self, a1: bool) -> None:
        self.a1 = a1
        self.lock = threading.Lock()
        self.billed: Counter[str] = Counter()
        self.excess: Counter[str] = Counter()
        self.may: Counter[str] = Counter()
        self.charged = 0
        self.forfeited = 0
        self.seen: Counter[str] = Counter()

    def bill(self, purse: Purse, held: int, before: int, amount: int) -> None:
        """Bill ``amount`` more for a call that was billed ``before``, against a hold of ``held``."""
        excess = max(0, before + amount - held) - max(0, before - held)
        with self.lock:
            for path in purse.chain:
                self.billed[path] += amount
                self.excess[path] += excess
                # Without A1, the excess of all calls below counts: a debt stays in the slice that made it, so that
                # its parent goes on admitting when the call has long been settled.
                over = self.billed[path] - self.may[path]
                assert over <= self.excess[path], f"the bills of {path} are {over} too high"
            if self.billed["root"] > self.may["root"]:
                self.seen["overshoot"] += 1

    def allow(self, paths: tuple[str, ...], amount: int) -> None:
        with self.lock:
            for path in paths:
                self.may[path] += amount

    def saw(self, what: str, charged: int = 0, forfeited: int = 0) -> None:
        with self.lock:
            self.seen[what] += 1
            self.charged += charged
            self.forfeited += forfeited


@dataclass
class Loose:
    """A hold that outlives the step in which it was reserved."""

    hold: Hold
    amount: int
    sent: bool = False
    billed: int = 0


@dataclass
class Purse:
    """A budget as its owner knows it; ``free`` is None where others spend too."""

    budget: Budget
    chain: tuple[str, ...]
    free: int | None
    parent: Purse | None = None
    children: int = 0
    loose: list[Loose] = field(default_factory=list)

    def spend(self, amount: int) -> None:
        if self.free is not None:
            self.free -= amount

    def expect_refusal(self, amount: int) -> None:
        """A refusal on one's own slice has a reason; on a shared one, others may have been faster."""
        assert self.free is None or amount > self.free, f"{amount} was refused where {self.free} was free"

    def expect_admission(self, amount: int) -> None:
        assert self.free is None or amount <= self.free, f"{amount} was admitted where {self.free} was free"


class Agent:
    """One task: random steps on the shared budgets and on slices of its own."""

    def __init__(self, truth: Truth, shared: list[Purse], seed: int) -> None:
        self.truth, self.shared = truth, shared
        self.chance = random.Random(seed)
        self.mine: list[Purse] = []

    async def run(self) -> None:
        steps = [self.call, self.call, self.cancelled, self.delegate, self.block, self.hold, self.resolve]
        steps += [self.close, self.merge]
        for _ in range(STEPS):
            await self.chance.choice(steps)()
            self.look()
            await self.pause()
        while self.mine:
            await self.close(last=True)

    async def pause(self) -> None:
        for _ in range(self.chance.randint(0, 2)):
            await asyncio.sleep(0)

    def look(self) -> None:
        purse = self.chance.choice(self.shared + self.mine)
        it = purse.budget.snapshot()
        parts = it.available + it.held + it.charged + it.forfeited + it.delegated + it.returned
        assert parts == it.granted
        assert min(it.held, it.charged, it.forfeited, it.delegated, it.returned) >= 0
        assert it.available >= 0 or not self.truth.a1
        if purse.free is not None:
            assert it.available == purse.free, purse.chain[0]

    def draw(self, held: int) -> int:
        """What the provider bills for up to ``held``: often all of it, without A1 sometimes more."""
        bill = self.chance.choice([held, self.chance.randint(0, held)])
        return bill if self.truth.a1 or self.chance.random() < 0.7 else held + self.chance.randint(1, 20)

    # ---------------------------------------------------------------------------------------------- calls

    async def call(self) -> None:
        with contextlib.suppress(Boom):
            await self.call_on(self.chance.choice(self.shared + self.mine))

    async def cancelled(self) -> None:
        inner = asyncio.create_task(self.call_on(self.chance.choice(self.shared + self.mine)))
        await self.pause()
        inner.cancel()
        with contextlib.suppress(asyncio.CancelledError, Boom):
            await inner

    async def call_on(self, purse: Purse) -> None:
        """One call, which ends well or badly; what it left behind is told by what was done, not by the budget."""
        amount, billed, sent, settled = self.chance.randint(0, 9), 0, False, False
        hold: Hold | None = None
        try:
            async with purse.budget.call(amount) as hold:
                purse.expect_admission(amount)
                purse.spend(amount)
                await self.pause()
                if self.chance.random() < 0.15:
                    raise Boom
                sent = bool(hold.sent())
                billed = self.draw(amount)
                self.truth.bill(purse, amount, 0, billed)
                for _ in range(self.chance.randint(0, 2)):
                    await self.pause()
                    more = self.chance.randint(0, 4)
                    try:
                        hold.extend(more)
                    except BudgetRefused:
                        purse.expect_refusal(more)
                        self.truth.saw("refused extension")
                        break
                    purse.expect_admission(more)
                    purse.spend(more)
                    amount += more
                    chunk = min(more, max(0, amount - billed))
                    self.truth.bill(purse, amount, billed, chunk)
                    billed += chunk
                await self.pause()
                end = self.chance.random()
                if end < 0.15:
                    raise Boom
                if end < 0.3:
                    return  # the bill was forgotten
                hold.settle(billed)
                settled = True
        except BudgetRefused:
            purse.expect_refusal(amount)
            self.truth.saw("refused")
        finally:
            if hold is not None:
                self.left(purse, Loose(hold, amount, sent, billed), settled)

    def left(self, purse: Purse, it: Loose, settled: bool) -> None:
        """Write down how a hold ended; the budget must say the same of it."""
        if settled:
            expected = HoldState.SETTLED
            purse.spend(it.billed - it.amount)
            self.truth.saw("settled", charged=it.billed)
        elif it.sent:
            expected = HoldState.FORFEITED
            self.truth.saw("forfeited", forfeited=it.amount)
        else:
            expected = HoldState.RELEASED
            purse.spend(-it.amount)
            self.truth.saw("released")
        assert (it.hold.state, it.hold.amount) == (expected, it.amount)

    async def hold(self) -> None:
        """Reserve, perhaps send, and leave the rest for later."""
        purse, amount = self.chance.choice(self.shared + self.mine), self.chance.randint(0, 9)
        try:
            it = Loose(purse.budget.reserve(amount), amount)
        except BudgetRefused:
            purse.expect_refusal(amount)
            return
        purse.expect_admission(amount)
        purse.spend(amount)
        if self.chance.random() < 0.7:
            it.sent = bool(it.hold.sent())
            it.billed = self.draw(amount)
            self.truth.bill(purse, amount, 0, it.billed)
        if purse.free is None or self.chance.random() < 0.5:
            await self.pause()
            await self.end(purse, it)
        else:
            purse.loose.append(it)

    async def end(self, purse: Purse, it: Loose) -> None:
        end = self.chance.random()
        if it.sent and end < 0.8:
            if end < 0.1:  # from another thread, while this loop goes on
                await asyncio.to_thread(it.hold.settle, it.billed)
            else:
                it.hold.settle(it.billed)
            self.left(purse, it, settled=True)
            return
        if it.sent:
            it.hold.forfeit()
        else:
            it.hold.release()
        self.left(purse, it, settled=False)

    async def resolve(self) -> None:
        if busy := [purse for purse in self.mine if purse.loose]:
            purse = self.chance.choice(busy)
            await self.end(purse, purse.loose.pop())

    # --------------------------------------------------------------------------------------------- slices

    def own(self, parent: Purse, budget: Budget, amount: int) -> Purse:
        parent.expect_admission(amount)
        parent.spend(amount)
        child = Purse(budget, (budget.path, *parent.chain), amount, parent)
        parent.children += parent.free is not None
        self.truth.allow((budget.path,), amount)
        return child

    def returned(self, purse: Purse, to: Purse | None) -> None:
        """What is free in a slice that has ended is now free in ``to``."""
        assert purse.free is not None
        assert to is not None
        to.spend(-max(0, purse.free))
        if purse.parent is not None and purse.parent.free is not None:
            purse.parent.children -= 1

    async def delegate(self) -> None:
        parent, amount = self.chance.choice(self.shared + self.mine), self.chance.randint(0, 30)
        try:
            budget = parent.budget.delegate(amount, "own")
        except BudgetRefused:
            parent.expect_refusal(amount)
            return
        self.mine.append(self.own(parent, budget, amount))

    async def block(self) -> None:
        parent, amount = self.chance.choice(self.shared + self.mine), self.chance.randint(0, 30)
        purse = None
        try:
            async with parent.budget.slice(amount, "block") as budget:
                purse = self.own(parent, budget, amount)
                await self.call_on(purse)
                await self.call_on(purse)
        except Boom:
            self.truth.saw("error through a slice")
        except BudgetRefused:
            assert purse is None
            parent.expect_refusal(amount)
        if purse is not None:
            self.returned(purse, parent)

    async def quiet(self, last: bool = False) -> Purse | None:
        """Choose a slice of its own that can end, after its loose holds have been resolved."""
        leaves = [purse for purse in self.mine if not purse.children]
        if not leaves or (not last and self.chance.random() < 0.3):
            return None
        purse = self.chance.choice(leaves)
        while purse.loose:
            await self.end(purse, purse.loose.pop())
        return purse

    async def close(self, last: bool = False) -> None:
        if purse := await self.quiet(last):
            self.mine.remove(purse)
            purse.budget.close()
            self.returned(purse, purse.parent)

    async def merge(self) -> None:
        """Merge a slice into another one of its own, wherever that is, or into its parent."""
        source = await self.quiet()
        targets = [purse for purse in self.mine if purse is not source]
        if source is None or source.free is None or not targets:
            return
        target = self.chance.choice(targets)
        moved = max(0, source.free)
        common = next(path for path in source.chain if path in target.chain)
        # Those on the way down may spend more from the moment of the merge on, those on the way up less: what may
        # be spent is never written down lower than it is.
        self.truth.allow(target.chain[: target.chain.index(common)], moved)
        self.mine.remove(source)
        target.budget.merge(source.budget)
        self.truth.allow(source.chain[: source.chain.index(common)], -moved)
        self.returned(source, target)
        self.truth.saw("merged")


def soak(seed: int, a1: bool) -> Counter[str]:
    """Run all agents on a new root, and look at what they have left."""
    truth, root = Truth(a1), Budget(CAP)
    teams = [root.delegate(CAP // 5, name) for name in ("a", "b", "c")]
    truth.allow(("root",), CAP)
    shared = [Purse(root, ("root",), None)]
    for team in teams:
        truth.allow((team.path,), CAP // 5)
        shared.append(Purse(team, (team.path, "root"), None))

    together = threading.Barrier(THREADS)

    async def loop(thread: int) -> None:
        together.wait(timeout=900)
        agents = [Agent(truth, shared, seed * 10_000 + thread * 100 + task) for task in range(TASKS)]
        async with asyncio.TaskGroup() as group:
            for agent in agents:
                group.create_task(agent.run())

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(asyncio.run, loop(thread)) for thread in range(THREADS)]:
            done.result(timeout=900)

    for team in teams:
        team.close()  # BudgetBusy if a hold or a slice is left
    it, debts = root.snapshot(), sum(min(0, team.snapshot().available) for team in teams)
    assert it.held == 0
    assert it.available + it.charged + it.forfeited + it.delegated == CAP
    spent = truth.charged + truth.forfeited
    if a1:
        assert debts == 0
        assert truth.billed["root"] <= spent <= CAP
        assert it.available == CAP - spent  # all that was not spent has come back
    else:
        assert it.available >= CAP - spent  # a debt stays in the slice that made it, and its parent has the rest
    root.close()
    return truth.seen


@pytest.fixture
def _hasty() -> Iterator[None]:
    """Let threads take turns often, in the middle of anything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize("a1", [True, False], ids=["every bill within its hold", "some bills above their holds"])
@pytest.mark.parametrize("runs", [40, pytest.param(1_200, marks=pytest.mark.deep)])
def test_soak(runs: int, a1: bool) -> None:
    seen = Counter[str]()
    for seed in range(runs):
        seen += soak(seed, a1)
    often = {"settled", "released", "forfeited", "refused", "refused extension", "merged", "error through a slice"}
    assert {what for what in often if not seen[what]} == set()
    assert bool(seen["overshoot"]) is not a1
