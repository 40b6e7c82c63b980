"""A judge of ceilings, windows and expiry that shares nothing with the engines: written from docs/scenarios.md.

It visits every state of a small scenario, and says by how few steps some ceiling is exceeded, and the largest excess of
one. A call keeps for each ceiling whether it still holds something there: no places, no twins, no views.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from capsound.scenario import Plain, Scenario

T = TypeVar("T")

BLOCKS = {
    "reserve-settle": ("ask+hold", "send", "settle"),
    "racy-counter": ("ask", "send", "debit"),
    "two-phase": ("ask", "hold", "send", "settle"),
    "four-line-counter": ("ask+send+debit",),
    "prepay": ("ask+hold", "send", "forfeit"),
    "release-on-cancel": ("ask+hold", "send", "settle"),
}


class Book(NamedTuple):
    """What one ceiling knows, and what was billed under it in this window."""

    spent: int = 0
    held: int = 0
    billed: int = 0


class Agent(NamedTuple):
    """Which block of which call comes next; of the call under way, in which ceilings it is held."""

    call: int = 0
    block: int = 0
    holds: frozenset[str] = frozenset()


class State(NamedTuple):
    """Everything."""

    books: tuple[Book, ...]
    agents: tuple[Agent, ...]
    resets: tuple[int, ...]
    expiries: int
    cancels: int


@dataclass
class Judged:
    """By how few steps a ceiling is exceeded (None: never), and by how much at most."""

    shortest: int | None = None
    over: int = 0
    complete: bool = True


class CeilingJudge:
    """Every run of one scenario with fixed amounts."""

    def __init__(self, scenario: Scenario) -> None:
        self.names = ["root", *(ceiling.name for ceiling in scenario.ceilings)]
        self.caps = [scenario.cap.lo, *(ceiling.cap.lo for ceiling in scenario.ceilings)]
        self.counts = ["money", *(ceiling.dimension for ceiling in scenario.ceilings)]
        self.windows = [scenario.window, *(ceiling.window for ceiling in scenario.ceilings)]
        self.scenario = scenario
        self.blocks = BLOCKS[scenario.discipline]
        self.gives_back = scenario.discipline == "release-on-cancel"
        parents = {ceiling.name: ceiling.parent for ceiling in scenario.ceilings}
        self.under: list[tuple[frozenset[str], int, Plain]] = []
        for agents in scenario.agents:
            reached = {"root"}
            for name in agents.ceilings or (agents.account,):
                while name != "root":
                    reached.add(name)
                    name = parents[name]
            cost = scenario.call(agents.call).cost
            assert isinstance(cost, Plain)
            self.under += [(frozenset(reached), agents.calls, cost)] * (agents.count or 0)

    def judge(self, most: int = 60_000) -> Judged:
        """Visit every state, nearest first."""
        out = Judged()
        spent = self.scenario.spent
        books = [Book(spent, 0, spent), *[Book()] * (len(self.names) - 1)]
        left = tuple(-1 if w is None or w.resets is None else w.resets for w in self.windows)
        faults = self.scenario.faults
        start = State(tuple(books), tuple(Agent() for _ in self.under), left, faults.expire, faults.cancel)
        level, seen, depth = [start], {start}, 0
        while level:
            for state in level:
                over = max(book.billed - cap for book, cap in zip(state.books, self.caps, strict=True))
                if over > 0 and out.shortest is None:
                    out.shortest = depth
                money = [
                    b.billed - c for b, c, d in zip(state.books, self.caps, self.counts, strict=True) if d == "money"
                ]
                out.over = max(out.over, *money)
            following = []
            for state in level:
                for after in self.after(state):
                    if after not in seen:
                        seen.add(after)
                        following.append(after)
                if len(seen) > most:
                    out.complete = False
                    return out
            level, depth = following, depth + 1
        return out

    def amount(self, ceiling: str, money: int) -> int:
        """Return what an amount of money is in a ceiling that counts something else."""
        return 1 if self.counts[self.names.index(ceiling)] == "requests" else money

    def after(self, state: State) -> Iterator[State]:
        """Yield every state that one step leads to."""
        for number, agent in enumerate(state.agents):
            yield from self.own_step(state, number, agent)
            yield from self.fault(state, number, agent)
        for number, window in enumerate(self.windows):
            if window is None or state.resets[number] == 0:
                continue
            name = self.names[number]
            book = state.books[number]
            agents = state.agents
            if not window.keeps:
                agents = tuple(agent._replace(holds=agent.holds - {name}) for agent in agents)
            fresh = Book(0, book.held if window.keeps else 0, 0)
            resets = tuple(max(-1, left - (i == number)) for i, left in enumerate(state.resets))
            yield state._replace(books=_put(state.books, number, fresh), agents=agents, resets=resets)

    def own_step(self, state: State, number: int, agent: Agent) -> Iterator[State]:
        """Yield what the next block of an agent leads to."""
        ceilings, calls, cost = self.under[number]
        if agent.call >= calls:
            return
        assert cost.estimate.hi is not None
        estimate, books, holds = cost.estimate.lo, list(state.books), agent.holds
        steps = self.blocks[agent.block].split("+")
        if "ask" in steps:
            for index, name in enumerate(self.names):
                if name in ceilings:
                    free = self.caps[index] - books[index].spent - books[index].held
                    if free < self.amount(name, estimate):
                        yield self.put(state, number, Agent(agent.call + 1), state.books)
                        return
        most = min(cost.bill.hi or 0, estimate) if self.scenario.assume.a1 else cost.bill.hi or 0
        if most < cost.bill.lo:
            return
        bill = cost.bill.lo
        for step in steps:
            for index, name in enumerate(self.names):
                if name in ceilings:
                    held, billed = self.amount(name, estimate), self.amount(name, bill)
                    books[index] = self.done(step, books[index], held if name in holds else 0, held, billed)
            if step == "hold":
                holds = ceilings
        ended = agent.block + 1 == len(self.blocks)
        after = Agent(agent.call + 1) if ended else Agent(agent.call, agent.block + 1, holds)
        yield self.put(state, number, after, tuple(books))

    def done(self, step: str, book: Book, kept: int, held: int, billed: int) -> Book:
        """Return what one step makes of one book; ``kept`` is what it still holds for the call."""
        match step:
            case "hold":
                return book._replace(held=book.held + held)
            case "send":
                return book._replace(billed=book.billed + billed)
            case "settle" | "debit":
                return book._replace(held=book.held - kept, spent=book.spent + billed)
            case "forfeit":
                return book._replace(held=book.held - kept, spent=book.spent + held)
            case "release":
                return book._replace(held=book.held - kept)
            case _:
                return book

    def fault(self, state: State, number: int, agent: Agent) -> Iterator[State]:
        """Yield what an expiry, or a cancellation, of a call of an agent leads to."""
        ceilings, calls, cost = self.under[number]
        if agent.call >= calls or agent.block == 0:
            return
        if state.expiries and agent.holds:
            books = list(state.books)
            for name in agent.holds:
                index = self.names.index(name)
                books[index] = books[index]._replace(held=books[index].held - self.amount(name, cost.estimate.lo))
            after = self.put(state, number, agent._replace(holds=frozenset()), tuple(books))
            yield after._replace(expiries=state.expiries - 1)
        if state.cancels:
            sent = any("send" in block for block in self.blocks[: agent.block])
            holding = any("hold" in block for block in self.blocks)
            way = "forfeit" if sent and holding and not self.gives_back else "release"
            books = list(state.books)
            for name in ceilings:
                index = self.names.index(name)
                held = self.amount(name, cost.estimate.lo)
                books[index] = self.done(way, books[index], held if name in agent.holds else 0, held, 0)
            yield self.put(state, number, Agent(agent.call + 1), tuple(books))._replace(cancels=state.cancels - 1)

    def put(self, state: State, number: int, agent: Agent, books: tuple[Book, ...]) -> State:
        """Return the state with one agent and all books replaced."""
        return state._replace(agents=_put(state.agents, number, agent), books=books)


def _put(items: tuple[T, ...], number: int, item: T) -> tuple[T, ...]:
    return (*items[:number], item, *items[number + 1 :])
