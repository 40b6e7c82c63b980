"""Which part of a small state space did a suite visit? The explorer enumerates it, the driver counts.

The scope is two agents with two calls each under a cap of 4, every estimate and every bill from 0 to 5 that A1
allows, and cancellation of any call at any time. An abstract state is what the ledger says together with the
unresolved holds: who holds them does not matter.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache

from capsound.explorer import Scope, explore
from capsound.ledger_fast import SENT, USED, FastLedger
from capsound.machine import compile_scenario, thaw
from capsound.scenario import Agents, CallKind, Faults, Interval, Plain, Scenario
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.program import Profile, Step

CAP, AGENTS, CALLS, AMOUNT = 4, 2, 2, 5

Abstract = tuple[tuple[int, int, int, int], tuple[tuple[bool, int, int], ...]]
"""Available, held, charged and forfeited; then each unresolved hold: whether it was sent, its amount, its bill."""

SMALL = Profile(
    "small scope",
    {"reserve": 10, "send": 10, "settle": 8, "release": 4, "forfeit": 4},
    caps=(CAP,),
    amounts=tuple(range(AMOUNT + 1)),
    agents=AGENTS,
    holds=AGENTS * CALLS,
    length=24,
    misuse=2,
)


@cache
def small_scope() -> frozenset[Abstract]:
    """Return every abstract state of the scope, as the explorer enumerates them on the model."""
    scenario = Scenario(
        "small scope",
        Interval.exactly(CAP),
        "forfeit-on-cancel",
        (Agents("a", AGENTS, "root", "c", calls=CALLS),),
        (CallKind("c", Plain(Interval(0, AMOUNT), Interval(0, AMOUNT))),),
        faults=Faults(cancel=AGENTS * CALLS),
    )
    machine = compile_scenario(scenario)
    explored = explore(machine, (), Scope(), keep_states=True)
    assert explored.complete
    found: set[Abstract] = set()
    for values in explored.seen:
        config = thaw(machine, values)
        ledger = config.ledgers[0]
        holds: list[tuple[bool, int, int]] = []
        for process, running in zip(machine.processes, config.running, strict=True):
            if 0 <= running.at < process.done:
                phase = process.places[running.at].phase
                if phase in ("admitted", "sent"):
                    sent = phase == "sent"
                    holds.append((sent, running.call.cover, running.call.bill if sent else 0))
        balances = (ledger.available, ledger.held, ledger.charged, ledger.forfeited)
        found.add((balances, tuple(sorted(holds))))
    return frozenset(found)


@dataclass(slots=True)
class Coverage:
    """What was visited so far; ``visit`` takes the books of a step."""

    seen: set[Abstract] = field(default_factory=set)

    def visit(self, ledger: FastLedger) -> None:
        """Take the books of the fast driver."""
        holds = sorted(
            (state == SENT, amount, billed)
            for state, amount, billed in zip(ledger.state, ledger.amount, ledger.billed, strict=True)
            if state != USED
        )
        balances = (ledger.available[0], ledger.held[0], ledger.charged[0], ledger.forfeited[0])
        self.seen.add((balances, tuple(holds)))

    @property
    def visited(self) -> int:
        """How many states of the scope were visited."""
        return len(self.seen & small_scope())

    @property
    def missing(self) -> list[Abstract]:
        """The states of the scope that were not visited, in a fixed order."""
        return sorted(small_scope() - self.seen)

    def summary(self) -> str:
        """Return the fraction in words."""
        whole = len(small_scope())
        return f"{self.visited} of {whole} abstract states ({100 * self.visited / whole:.1f} %)"


def cover(driver: Driver, coverage: Coverage, programs: int, seed: int = 0) -> list[Step] | None:
    """Run programs until every state of the scope was visited; return one that is suspicious, if any is met.

    Guided: a program that visited something new is kept, and every second program is one of those with a few
    bytes changed.
    """
    chance = random.Random(seed)
    kept: list[bytes] = []
    known = len(coverage.seen)
    for number in range(programs):
        if kept and number % 2:
            changed = bytearray(chance.choice(kept))
            for _ in range(chance.randint(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            data = bytes(changed)
        else:
            data = chance.randbytes(4 * driver.profile.length + 1)
        program = driver.run(data)
        if program is not None:
            return program
        now = len(coverage.seen)
        if now > known:
            known = now
            kept.append(data)
            if coverage.visited == len(small_scope()):
                break
    return None
