"""The lab: replay a workload against its cap under a strategy, and measure what the reservation cost.

**Who runs when.** Calls of a session follow each other. Where every session has a cap of its own, ``agents`` sessions
share one cap and run at once; where all sessions share one cap, ``agents`` of them run at once and each that ends
makes room for the next. Time is virtual: a call takes one tick to be answered and one for each output token, and of
two agents that are due at the same tick the lower number goes first. A refusal ends a session. What a strategy has
learned is kept from cap to cap.

The replay keeps its books in ``capsound.ledger_fast``; given a list, it writes events down as well, and a property
test folds them through the monitor and compares.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import StrEnum

from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.events import Bill, Event, Extend, Open, Refuse, Reserve, Send, Settle
from capsound.ledger_fast import FastLedger
from capsound.strategies import NOTHING, Memory, Plan, Strategy, Stream, extension, learn, plan
from capsound.workload import Call, Session, Workload, optimum, price

UNLIMITED = 10**30
"""The cap that stands for none: no workload comes near it."""


class Fate(StrEnum):
    """What became of a call: answered in full, cut short, refused, or never made since its session had ended."""

    COMPLETED = "completed"
    CUT = "cut"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call. ``reserved`` is the most that was held for it; ``falsely`` whether an oracle would have admitted it.

    The oracle knows the true bills: it admits what fits beside all that was billed, and will be for calls in flight.
    """

    session: int
    fate: Fate
    reserved: int = 0
    billed: int = 0
    overran: bool = False
    falsely: bool = False


@dataclass(frozen=True, slots=True)
class Pot:
    """One cap: what was billed under it, and how much of that was for calls that were ``answered`` in full.

    ``best`` is the most that an oracle could have had billed for such calls, ``exact`` or a bound.
    """

    billed: int
    answered: int
    over: int
    best: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A replay: the outcome of every call of the workload, in its order, and of every cap."""

    strategy: Strategy
    outcomes: tuple[Outcome, ...]
    pots: tuple[Pot, ...]


def replay(
    workload: Workload,
    strategy: Strategy,
    cap: int | None = None,
    agents: int = 1,
    events: list[Event] | None = None,
) -> Run:
    """Replay ``workload`` under ``strategy``; ``cap`` is that of each pot of money, None for no cap.

    Raises ``NoCount`` where the strategy needs token counts that the workload does not carry.
    """
    shared = [list(enumerate(workload.sessions))] if workload.shared else _grouped(workload.sessions, agents)
    memory, outcomes, pots = NOTHING, {}, []
    starts = _starts(workload.sessions)
    for number, group in enumerate(shared):
        pot = _Pot(strategy, memory, UNLIMITED if cap is None else cap, f"root{number}", events)
        pot.run(group, agents)
        memory = pot.memory
        for (session, place), outcome in pot.outcomes.items():
            outcomes[starts[session] + place] = outcome
        pots.append(pot.summary([[call.bill for call in session.calls] for _, session in group]))
    return Run(strategy, tuple(outcomes[i] for i in range(len(outcomes))), tuple(pots))


def _grouped(sessions: tuple[Session, ...], size: int) -> list[list[tuple[int, Session]]]:
    numbered = list(enumerate(sessions))
    return [numbered[i : i + size] for i in range(0, len(numbered), size)]


def _starts(sessions: tuple[Session, ...]) -> list[int]:
    starts, total = [], 0
    for session in sessions:
        starts.append(total)
        total += len(session.calls)
    return starts


class _Pot:
    """One cap, the agents that spend from it, and what the strategy has learned so far."""

    def __init__(self, strategy: Strategy, memory: Memory, cap: int, name: str, events: list[Event] | None) -> None:
        self.strategy = strategy
        self.memory = memory
        self.cap = cap
        self.root = AccountId(name)
        self.events = events
        self.ledger = FastLedger()
        self.account = self.ledger.open(cap)
        self.committed = 0  # the true bills of all that was admitted: what the oracle knows
        self.billed = 0
        self.outcomes: dict[tuple[int, int], Outcome] = {}
        self._feed(Open(self.root, Amount(cap)))

    def run(self, sessions: list[tuple[int, Session]], agents: int) -> None:
        """Let ``agents`` agents take the sessions, in order, until none is left."""
        queue = iter(sessions)
        due: list[tuple[int, int]] = []
        work = [self._agent(queue) for _ in range(agents)]
        for number in range(len(work)):
            heapq.heappush(due, (0, number))
        while due:
            now, number = heapq.heappop(due)
            ticks = next(work[number], None)
            if ticks is not None:
                heapq.heappush(due, (now + ticks, number))

    def summary(self, chains: list[list[int]]) -> Pot:
        """Return what was billed under this cap, beside what an oracle could have had billed."""
        best, exact = optimum(chains, self.cap)
        answered = sum(o.billed for o in self.outcomes.values() if o.fate is Fate.COMPLETED)
        return Pot(self.billed, answered, max(0, self.billed - self.cap), best, exact)

    def _agent(self, queue: Iterator[tuple[int, Session]]) -> Generator[int, None, None]:
        for number, session in queue:
            for place, call in enumerate(session.calls):
                outcome = yield from self._call(number, place, call)
                self.outcomes[number, place] = outcome
                if outcome.fate is Fate.REFUSED:
                    for left in range(place + 1, len(session.calls)):
                        self.outcomes[number, left] = Outcome(number, Fate.SKIPPED)
                    break

    # ------------------------------------------------------------------------------------------- one call

    def _call(self, session: int, place: int, call: Call) -> Generator[int, None, Outcome]:
        made = plan(self.strategy, call.seen, self.memory, self.ledger.available[self.account])
        if not self.ledger.may_reserve(self.account, made.amount):
            self._feed(Refuse(self.root, Amount(made.amount)))
            return Outcome(session, Fate.REFUSED, falsely=self.committed + call.bill <= self.cap)
        name = f"{session}.{place}"
        output = call.output_tokens
        if made.max_output < call.seen.max_output:  # A6: the provider stops at the limit that was asked for
            output = min(output, made.max_output)
        bill = price(call.seen.prices, call.input_tokens, output)
        self.committed += bill
        if made.chunk is not None:
            return (yield from self._streamed(session, name, call, made, output))
        parts = self._parts(call, made, bill)
        holds = [self._reserve(f"{name}{mark}", amount) for mark, amount, _ in parts]
        overran = any(cost > amount for _, amount, cost in parts)
        yield 1
        for (mark, _, cost), hold in zip(parts[:-1], holds[:-1], strict=True):
            self._settle(f"{name}{mark}", hold, cost)
        yield output
        self._settle(f"{name}{parts[-1][0]}", holds[-1], parts[-1][2])
        cut = output < call.output_tokens
        if not cut:
            self.memory = learn(self.strategy, self.memory, call)
        return Outcome(session, Fate.CUT if cut else Fate.COMPLETED, made.amount, bill, overran)

    def _parts(self, call: Call, made: Plan, bill: int) -> list[tuple[str, int, int]]:
        """Return the holds of a call as (mark, amount, cost): one, or one for input and one for output."""
        if made.apart is None:
            return [("", made.amount, bill)]
        first = price(call.seen.prices, call.input_tokens, 0)
        return [("i", made.apart, first), ("o", made.amount - made.apart, bill - first)]

    def _streamed(self, session: int, name: str, call: Call, made: Plan, output: int) -> Generator[int, None, Outcome]:
        """Receive chunk by chunk, holding two ahead; where that cannot be extended, one more is billed (A9)."""
        assert isinstance(self.strategy.output, Stream)
        chunk, received, held = self.strategy.output.chunk, 0, made.amount
        hold = self._reserve(name, held)
        yield 1
        aborted = False
        while received < output:
            step = min(chunk, output - received)
            yield step
            received += step
            more = extension(made, call.seen, received) - held
            if received == output or more <= 0:
                continue
            if self.ledger.may_extend(hold, more):
                self.ledger.extend(hold, more)
                self._feed(Extend(HoldId(name), Amount(more)))
                held += more
            else:
                aborted = True
                received += min(chunk, output - received)
                break
        bill = price(call.seen.prices, call.input_tokens, received)
        self.committed -= price(call.seen.prices, call.input_tokens, output) - bill
        self._settle(name, hold, bill)
        if not aborted:
            self.memory = learn(self.strategy, self.memory, call)
        return Outcome(session, Fate.CUT if aborted else Fate.COMPLETED, held, bill, bill > held)

    def _reserve(self, name: str, amount: int) -> int:
        self._feed(Reserve(self.root, HoldId(name), Amount(amount)), Send(HoldId(name), CallId(name)))
        return self.ledger.reserve(self.account, amount)

    def _settle(self, name: str, hold: int, cost: int) -> None:
        self.billed += cost
        self.ledger.send(hold, cost)
        self.ledger.settle(hold)
        self._feed(Bill(CallId(name), Amount(cost)), Settle(HoldId(name), Amount(cost)))

    def _feed(self, *events: Event) -> None:
        if self.events is not None:
            self.events.extend(events)
