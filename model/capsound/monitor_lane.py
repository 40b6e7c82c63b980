"""The fast lane: what nearly every event of a long log is, taken in one loop without a call for each.

A reserve that fits, a first send, a bill within its hold, a settlement of what was billed: their effect is written out
here once more, after the methods of ``FastMonitor``. Whatever is not exactly one of these is left as it is, and handed
to the driver, which lets the methods judge it. Nothing is changed before an event is known to be one of them.

A property test compares both ways (tests/unit/test_monitor_lane.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from capsound.accounts import HoldState
from capsound.amounts import CallId
from capsound.live_books import LiveAccount, LiveHold, path_of
from capsound.monitor_books import CarriedMonitor

HELD, SENT, SETTLED = HoldState.HELD, HoldState.SENT, HoldState.SETTLED

AGENTS = 1_000
"""Of how many agents the bills are added up here before they are handed on."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The types of what was read, with the attributes of the event: amounts are integers, None is what is not there."""

    reserve: type
    send: type
    bill: type
    settle: type
    beside: bool
    """Whether they also have what may stand beside an event: ``at``, ``seq`` and ``model``."""


@dataclass(frozen=True, slots=True)
class Block:
    """Events of lines that follow each other, the first after ``line``; None for a line that was not read.

    ``texts`` are the lines themselves, if any was not read.
    """

    line: int
    events: Iterable[Any]
    texts: Sequence[str]
    kinds: Kinds


class Driver(Protocol):
    """Who takes what the lane leaves alone, and says what the lane may take."""

    def lane(self) -> tuple[bool, bool, bool]:
        """Return whether the lane may take bills, sends, and settlements that stand for bills."""
        ...

    def took(self, line: int, events: int, told: int) -> None:
        """Note that the lane came to a line, and took so many events; of these, so many stood for bills."""

    def spend(self, hold: LiveHold, amount: int) -> None:
        """Note what a call under a hold was billed."""

    def spend_by(self, agents: Mapping[str | None, int]) -> None:
        """Note what calls of agents were billed of which nothing else is told."""

    def stamp(self, line: int, event: Any) -> None:
        """Take the time and the number that a line may have beside its event."""

    def odd(self, line: int, text: str, event: Any) -> None:
        """Take a line that is not of the lane; ``event`` is None where it was not read, and then there is a text."""


class LaneMonitor(CarriedMonitor):
    """A monitor that can also take a whole log."""

    __slots__ = ()

    def drive(self, blocks: Iterable[Block], driver: Driver) -> None:
        """Take a log, of which a line was read that had an end.

        Ends with the blocks, or with what the driver raises.
        """
        accounts, holds, calls, bills, recent = (
            self._accounts,
            self._holds,
            self._calls,
            self._call_bills,
            self._recent,
        )
        memory, given_back = self.memory, self._given_back
        may_bill, may_send, may_tell = driver.lane()
        overlapped, approached = self._overlapped, self._approached
        agents: dict[str | None, int] = {}
        none = type(None)
        line = 0
        admitted = sent = billed = settled = told = unsent = forgotten = 0
        try:
            for block in blocks:
                kinds = block.kinds
                reserve, send, bill, settle, beside = kinds.reserve, kinds.send, kinds.bill, kinds.settle, kinds.beside
                for line, event in enumerate(block.events, block.line + 1):
                    kind: type = type(event)
                    if beside and kind is not none:
                        driver.stamp(line, event)
                        if event.model is not None:
                            kind = Block  # whose bill it is, the readable way follows
                    if kind is reserve:
                        hold_id, amount = event.hold, event.amount
                        account = accounts.get(event.account)
                        if account is not None and hold_id not in holds and amount > 0:
                            granted, top = account.granted, account.top
                            available = account.available - amount
                            # What is available is not spent: where it is enough, the cap is not used up.
                            if (
                                available >= 0
                                and account.window == account.deficit
                                and not account.closed
                                and top.below <= top.granted  # type: ignore[union-attr]
                            ):
                                account.available = available
                                account.held += amount
                                account.holds += 1
                                holds[hold_id] = LiveHold(hold_id, account.id, amount, HELD, event.agent, account, line)
                                if not overlapped and self._unresolved_holds + admitted - settled:
                                    self._overlapped = overlapped = True
                                admitted += 1
                                if available < account.low:
                                    account.low = available
                                    if (
                                        not approached
                                        and 2 * (granted - available) >= granted
                                        and account.parent is None
                                    ):
                                        self._approached = approached = True
                                continue
                    elif kind is send:
                        hold_id, call = event.hold, event.call
                        hold = holds.get(hold_id)
                        if (
                            may_send
                            and hold is not None
                            and hold.state is HELD
                            and hold.call is None
                            and call not in calls
                        ):
                            hold.state = SENT
                            hold.call = call
                            calls[call] = hold
                            sent += 1
                            continue
                    elif kind is bill:
                        call, amount = event.call, event.amount
                        hold = calls.get(call)
                        if may_bill and hold is not None and amount > 0 and not given_back and len(agents) < AGENTS:
                            paid, owner = hold.billed + amount, hold.owner
                            if (
                                paid <= hold.amount
                                and (hold.state is SENT or hold.state is HELD)
                                and not hold.more
                                and owner.below + amount <= owner.granted - owner.returned
                                and (owner.up is None or _billed(owner.up, amount))
                            ):
                                owner.below += amount
                                owner.billed += amount
                                hold.billed = paid
                                billed += 1
                                if beside:
                                    driver.spend(hold, amount)
                                else:
                                    agent = hold.agent
                                    agents[agent] = agents.get(agent, 0) + amount
                                continue
                    elif kind is settle:
                        hold_id, amount = event.hold, event.amount
                        hold = holds.get(hold_id)
                        if (
                            hold is not None
                            and (hold.state is SENT or hold.state is HELD)
                            and 0 < amount <= hold.amount
                        ):
                            if may_tell and not hold.billed and not given_back and len(agents) < AGENTS:
                                fresh = hold.call is None
                                call = CallId(f"{hold_id} (told)") if hold.call is None else hold.call
                                account = hold.owner
                                if (
                                    (not may_send and call not in calls if fresh else not hold.more)
                                    and account.below + amount <= account.granted - account.returned
                                    and (account.up is None or _billed(account.up, amount))
                                ):
                                    if fresh:
                                        hold.call = call
                                        calls[call] = hold
                                        unsent += 1
                                    account.below += amount
                                    account.billed += amount
                                    hold.billed = amount
                                    told += 1
                                    if beside:
                                        driver.spend(hold, amount)
                                    else:
                                        agents[hold.agent] = agents.get(hold.agent, 0) + amount
                            if amount == hold.billed and hold.call is not None and not hold.more:
                                account, held = hold.owner, hold.amount
                                account.held -= held
                                account.charged += amount
                                account.available += held - amount
                                account.holds -= 1
                                hold.state = SETTLED
                                settled += 1
                                recent.append(hold)
                                if len(recent) > memory:
                                    old = recent.popleft()
                                    del holds[old.id]
                                    if old.call is not None:
                                        del calls[old.call]
                                        if old.more or bills:
                                            self._forget_more(old)
                                    forgotten += 1
                                continue
                    self._count_lane(admitted, sent + unsent, settled, forgotten)
                    driver.took(line, admitted + sent + billed + settled, told)
                    driver.spend_by(agents)
                    agents.clear()
                    admitted = sent = billed = settled = told = unsent = forgotten = 0
                    self._reserved = line - 1  # a reservation has the number of its line, whoever takes it
                    driver.odd(line, "" if event is not None else block.texts[line - block.line - 1], event)
                    may_bill, may_send, may_tell = driver.lane()
                    overlapped, approached = self._overlapped, self._approached
        finally:
            self._count_lane(admitted, sent + unsent, settled, forgotten)
            driver.took(line, admitted + sent + billed + settled, told)
            driver.spend_by(agents)

    def _count_lane(self, admitted: int, sent: int, settled: int, forgotten: int) -> None:
        self._admitted += admitted
        self._sent += sent
        self._settled += settled
        self._unresolved_holds += admitted - settled
        self.forgotten += forgotten


def _billed(account: LiveAccount, amount: int) -> bool:
    """Add a bill to what is below an account and all above it, if it is within all their limits; say whether it was."""
    for node in path_of(account):
        if node.below + amount > node.granted - node.returned:
            return False
    for node in path_of(account):
        node.below += amount
    return True
