"""The adapter over the reference implementation: a third party, as far as the suites are concerned."""

from __future__ import annotations

from typing import Any

import capsound_reference.arithmetic
import capsound_reference.budget
import capsound_reference.ceilings
from capsound.adapter import Adapter, Gate, Provider
from capsound.events import TOLD
from capsound_reference import (
    BudgetBusy,
    BudgetClosed,
    BudgetError,
    BudgetRefused,
    Ceiling,
    HoldSent,
    HoldUsed,
    today,
)


class CeilingsAdapter(Adapter):
    """Ceilings with a cap for each day of the calendar; what day it is they ask Python, whose clocks are moved."""

    refused = (BudgetRefused,)
    stale = (HoldSent, HoldUsed)
    rejected = (BudgetError,)
    strict = True
    threads = True
    files = (capsound_reference.ceilings.__file__, capsound_reference.arithmetic.__file__)
    window = "day"

    def open(self, cap: int) -> Any:
        return Ceiling(cap, period=today)

    def ceiling(self, scope: Any, cap: int) -> Any:
        return Ceiling(cap, "below", scope)

    def reserve(self, scope: Any, amount: int) -> Any:
        return scope.reserve(amount)

    def sent(self, hold: Any) -> None:
        hold.sent()

    def settle(self, hold: Any, actual: int) -> None:
        hold.settle(actual)

    def release(self, hold: Any) -> None:
        hold.release()

    def forfeit(self, hold: Any) -> None:
        hold.forfeit()

    def spent(self, scope: Any) -> int:
        return int(scope.balances[2])

    def held(self, scope: Any) -> int:
        return int(scope.balances[1])

    def remaining(self, scope: Any) -> int:
        return int(scope.balances[0])


class ReferenceAdapter(Adapter):
    """Everything but `call`: the life of each hold is in the hands of whoever drives it."""

    refused = (BudgetRefused,)
    stale = (BudgetClosed, HoldSent, HoldUsed)
    rejected = (BudgetBusy, BudgetError)
    strict = True
    complete = True
    threads = True
    handlers = True
    files = (capsound_reference.budget.__file__, capsound_reference.arithmetic.__file__)

    def open(self, cap: int) -> Any:
        return capsound_reference.budget.Budget(cap)

    def reserve(self, scope: Any, amount: int) -> Any:
        return scope.reserve(amount)

    def sent(self, hold: Any) -> None:
        hold.sent()

    def settle(self, hold: Any, actual: int) -> None:
        hold.settle(actual)

    def extend(self, hold: Any, amount: int) -> None:
        hold.extend(amount)

    def release(self, hold: Any) -> None:
        hold.release()

    def forfeit(self, hold: Any) -> None:
        hold.forfeit()

    def delegate(self, scope: Any, amount: int) -> Any:
        return scope.delegate(amount, "slice")

    def close(self, scope: Any) -> None:
        scope.close()

    def merge(self, target: Any, source: Any) -> None:
        target.merge(source)

    def observe(self, scope: Any) -> tuple[int, int, int]:
        said = scope.snapshot()
        return said.charged + said.forfeited, said.held, said.available

    def spent(self, scope: Any) -> int:
        return self.observe(scope)[0]

    def held(self, scope: Any) -> int:
        return self.observe(scope)[1]

    def remaining(self, scope: Any) -> int:
        return self.observe(scope)[2]

    def balances(self, scope: Any) -> dict[str, int]:
        said = scope.snapshot()
        return {name: getattr(said, name) for name in TOLD}


class JournalAdapter(ReferenceAdapter):
    """The same with a journal for each root."""

    threads = False  # shown of the one without a journal

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def open(self, cap: int) -> Any:
        name = f"root{len(self.lines)}"
        lines = self.lines[name] = []
        return capsound_reference.budget.Budget(cap, name, journal=lines.append)

    def journal(self, scope: Any) -> list[str]:
        return self.lines[scope.path.split("/")[0]]


class CallAdapter(ReferenceAdapter):
    """Calls by the context manager alone: what errors, cancellations and crashes leave behind."""

    gate = Gate.CALL
    threads = False

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        async with scope.call(estimate) as hold:
            hold.sent()
            bill = await provider()
            hold.settle(bill)
            return bill
