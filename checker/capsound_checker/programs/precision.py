"""What keeping the cap costs: how much of it is used, and what is refused that an oracle would have admitted.

Precision stands beside a verdict and is no part of it: who refuses everything keeps every guarantee. A workload is a
cap and calls with their estimates and their true bills, which stay within them. The target is given one call after the
other, some of them at the same time. It is compared with two others on the same workload: with plain reserve and
settle, which knows the estimates, and with a clairvoyant oracle, which knows the bills and picks the calls that use
the most of the cap.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from capsound.amounts import AccountId
from capsound.events import Event, Refuse, Reserve
from capsound.monitor import Monitor
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import Step

CAP = 100
CALLS = 16
WORKLOADS = 12
"""How many there are for each number of calls at the same time."""

AT_ONCE = (1, 3)


@dataclass(frozen=True, slots=True)
class Workload:
    """A cap, calls as (estimate, bill), and how many are under way at the same time."""

    cap: int
    calls: tuple[tuple[int, int], ...]
    at_once: int

    @property
    def clairvoyant(self) -> int:
        """The most of the cap that any choice of calls uses: a subset sum of the bills."""
        reached = 1
        for _, bill in self.calls:
            reached |= reached << bill
        within = reached & ((1 << (self.cap + 1)) - 1)
        return within.bit_length() - 1

    @property
    def reserve_settle(self) -> int:
        """What is billed where each estimate is reserved if it fits and settled at the bill."""
        free, billed = self.cap, 0
        waiting: deque[tuple[int, int]] = deque()
        for estimate, bill in self.calls:
            if len(waiting) == self.at_once:
                held, cost = waiting.popleft()
                free += held - cost
            if estimate <= free:
                free -= estimate
                billed += bill
                waiting.append((estimate, bill))
        return billed


@cache
def workloads(seed: int) -> tuple[Workload, ...]:
    """Return the workloads of a seed: estimates of a tenth to four tenths of the cap, bills from a third of them up."""
    chance = random.Random(seed)
    out = []
    for at_once in AT_ONCE:
        for _ in range(WORKLOADS):
            estimates = [chance.randint(CAP // 10, 4 * CAP // 10) for _ in range(CALLS)]
            out.append(Workload(CAP, tuple((e, chance.randint(-(-e // 3), e)) for e in estimates), at_once))
    return tuple(out)


def perform(run: Lockstep, workload: Workload) -> None:
    """Offer every call of a workload to the target, then settle all, then ask for all that is free, or less of it."""
    run.do(Step("open", new=0, amount=workload.cap))
    waiting: deque[int] = deque()
    for number, (estimate, bill) in enumerate(workload.calls):
        if len(waiting) == workload.at_once:
            _end(run, waiting.popleft())
        if _begin(run, number, estimate, bill):
            waiting.append(number)
    while waiting:
        _end(run, waiting.popleft())
    free = run.state.account(AccountId("a0")).available
    number, low, high = len(workload.calls), 0, free
    wanted = free
    while low < high:  # the largest call that is admitted; one of all that is free, where nothing is stranded
        if _begin(run, number, wanted, 0):
            low = wanted
            _end(run, number)
        else:
            high = wanted - 1
        number += 1
        wanted = (low + high + 1) // 2


def _begin(run: Lockstep, number: int, estimate: int, bill: int) -> bool:
    if "call" in run.offers:
        run.do(Step("begin", on=0, new=number, amount=estimate, bill=bill))
        return number in run.at_provider
    run.do(Step("reserve", on=0, new=number, amount=estimate))
    if number not in run.held:
        return False
    run.do(Step("send", on=number, bill=bill))
    return True


def _end(run: Lockstep, number: int) -> None:
    run.do(Step("reply" if number in run.calls else "settle", on=number))


@dataclass(frozen=True, slots=True)
class Precision:
    """Sums over workloads: calls by what became of them, and units of the cap by who would have used them."""

    calls: int = 0
    refused: int = 0
    falsely: int = 0
    """Refused although they fitted beside everything outstanding, by their estimates."""
    late: int = 0
    """Refused although the oracle, who knows the bills, saw room for them."""
    used: int = 0
    reserve_settle: int = 0
    clairvoyant: int = 0
    stranded: int = 0
    """Units that were free when all was settled, and could not be had."""

    def __add__(self, other: Precision) -> Precision:
        return Precision(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures in words."""
        oracle = max(1, self.clairvoyant)
        used, least = self.used * 100 / oracle, self.reserve_settle * 100 / oracle
        return (
            f"used {used:.0f} % of what a clairvoyant oracle uses of the cap; reserve-settle uses {least:.0f} %",
            f"refused {self.refused} of {self.calls} calls: {self.falsely} although their estimates fitted, "
            f"{self.late} although their bills did",
            f"stranded {self.stranded} units that were free when all was settled",
        )


def measured(workload: Workload, events: Iterable[Event]) -> Precision:
    """Return what a run of a workload shows, from its events alone; nothing where it is not one of that workload."""
    monitor = Monitor()
    decided = refused = falsely = late = stranded = 0
    free = -1
    for event in events:
        if isinstance(event, Reserve | Refuse):
            if decided == len(workload.calls):
                if free < 0:
                    free = stranded = monitor.state.account(event.account).available
                if isinstance(event, Reserve):
                    stranded = min(stranded, free - event.amount)
            else:
                estimate, bill = workload.calls[decided]
                if event.amount != estimate:
                    return Precision()
                decided += 1
                if isinstance(event, Refuse):
                    refused += 1
                    falsely += estimate <= monitor.state.account(event.account).available
                    late += monitor.state.billed_below(event.account) + bill <= workload.cap
        monitor.feed(event)
    if decided != len(workload.calls):
        return Precision()
    used = monitor.state.billed_below(AccountId("a0"))
    return Precision(
        decided, refused, falsely, late, used, workload.reserve_settle, workload.clairvoyant, max(0, stranded)
    )
