"""Every gate among two threads: a race that is stopped at the right instruction, beside a sound twin of each.

The faults are those that a stress test meets once in some thousand runs. Of the first two, the lock is right and the
decision is not: a step of verification lies between check and debit, or two reads lie before two records.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from capsound.adapter import Adapter, Gate, Provider, Refused
from capsound_checker.schedules.threads import GATES, NEEDS_LOOP, again, hunt, interrupt, pairs


class Over(Exception):
    """It does not fit."""


class Till:
    """A counter; each half of an operation is under its lock, and so is all of it where ``whole`` says so."""

    def __init__(self, cap: int, *, whole: bool) -> None:
        self.cap, self.spent, self.whole = cap, 0, whole
        self.lock, self.outer = threading.RLock(), threading.RLock()

    def fits(self, amount: int) -> bool:
        with self.lock:
            return self.spent + amount <= self.cap

    def verify(self, amount: int) -> None:
        if amount < 0:
            raise Over

    def debit(self, amount: int) -> None:
        with self.lock:
            self.spent += amount

    def charge(self, amount: int) -> None:
        if self.whole:
            with self.outer:
                self.admit(amount)
        else:
            self.admit(amount)

    def admit(self, amount: int) -> None:
        if not self.fits(amount):
            raise Over
        self.verify(amount)
        self.debit(amount)

    def record(self, amount: int) -> None:
        if self.whole:
            self.debit(amount)
            return
        before = self.read()
        self.write(before + amount)

    def read(self) -> int:
        with self.lock:
            return self.spent

    def write(self, spent: int) -> None:
        with self.lock:
            self.spent = spent

    def record_if_it_fits(self, amount: int) -> bool:
        """Decide once more where the money is taken: what the check has said may be old."""
        with self.lock:
            if self.spent + amount > self.cap:
                return False
            self.spent += amount
            return True


class Counting(Adapter):
    whole = False
    threads = True
    refused = (Over,)

    def open(self, cap: int) -> Any:
        return Till(cap, whole=self.whole)

    def spent(self, scope: Any) -> int:
        return int(scope.spent)

    def remaining(self, scope: Any) -> int:
        return int(scope.cap - scope.spent)


class Charges(Counting):
    gate = Gate.CHARGE

    def charge(self, scope: Any, amount: int) -> None:
        scope.charge(amount)


class Checks(Counting):
    gate = Gate.CHECK

    def check(self, scope: Any, amount: int) -> bool:
        return bool(scope.fits(amount))

    def record(self, scope: Any, amount: int) -> None:
        if not self.whole:
            scope.debit(amount)
        elif not scope.record_if_it_fits(amount):
            raise Refused


class Records(Counting):
    gate = Gate.RECORD

    def record(self, scope: Any, amount: int) -> None:
        scope.record(amount)


class Calls(Counting):
    gate = Gate.CALL

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        scope.charge(estimate)
        bill = await provider()
        scope.debit(bill - estimate)
        return bill


class Reserves(Counting):
    gate = Gate.RESERVE

    def reserve(self, scope: Any, amount: int) -> list[Any]:
        scope.charge(amount)
        return [scope, amount]

    def settle(self, hold: Any, actual: int) -> None:
        hold[0].debit(actual - hold[1])


GATED: list[type[Counting]] = [Reserves, Charges, Checks, Records, Calls]


def sound(adapter: type[Counting]) -> type[Adapter]:
    return type(f"Sound{adapter.__name__}", (adapter,), {"whole": True})


def test_no_gate_is_left_out() -> None:
    assert {adapter.gate for adapter in GATED} == set(Gate) == set(GATES)


@pytest.mark.parametrize("adapter", GATED)
def test_a_race_at_the_gate_is_found_and_shows_again(adapter: type[Counting]) -> None:
    raced: dict[str, int] = {}
    found, _ = hunt(adapter, raced=raced)
    assert found is not None
    assert found.anomaly != "hang"
    assert raced[GATES[adapter.gate]] > 0
    once_more, schedules = again(adapter, found.before, found.first, found.second, found.at, handler=False)
    assert (once_more, schedules) == (found, 1)


@pytest.mark.parametrize("adapter", GATED)
def test_the_sound_twin_of_each_gate_is_raced_and_not_accused(adapter: type[Counting]) -> None:
    raced: dict[str, int] = {}
    found, schedules = hunt(sound(adapter), raced=raced)
    assert found is None, found.story()
    assert 5 < raced[GATES[adapter.gate]] <= schedules


@pytest.mark.parametrize("adapter", GATED)
def test_where_everything_is_refused_no_gate_was_raced(adapter: type[Counting]) -> None:
    def refuse(*_: Any) -> Any:
        raise Over

    async def refuse_later(*_: Any) -> Any:
        raise Over

    gate = "call" if adapter.gate is Gate.CALL else adapter.gate.value
    nothing = type("Nothing", (adapter,), {gate: refuse_later if gate == "call" else refuse})
    raced: dict[str, int] = {}
    found, _ = hunt(nothing, raced=raced)
    assert found is None
    if adapter.gate is not Gate.RECORD:
        assert raced == {}
    for before, one, two in pairs(nothing):
        assert interrupt(nothing, before, one, two)[0] is None


class Waits(Calls):
    whole = True

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        asyncio.get_running_loop()
        return await super().call(scope, estimate, provider)


class WaitsForItsTurn(Calls):
    """It needs a loop only where two calls meet."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        if not scope.outer.acquire(blocking=False):
            asyncio.get_running_loop()
        try:
            return await super().call(scope, estimate, provider)
        finally:
            scope.outer.release()


@pytest.mark.parametrize("adapter", [Waits, WaitsForItsTurn])
def test_a_call_that_needs_an_event_loop_is_neither_accused_nor_raced(adapter: type[Counting]) -> None:
    raced: dict[str, int] = {}
    found, _ = hunt(adapter, raced=raced)
    assert found is None
    assert raced == {} or NEEDS_LOOP in raced
