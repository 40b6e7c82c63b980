"""What several adapters of this folder need: whole units from floats, calls that block, and loops that call a model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from capsound.adapter import Adapter, Gate, Provider, Refused, Rejected

LARGEST = 2**31
"""Nobody sets a limit of so many dollars; sums of floats stay exact below."""


def within(cap: int) -> int:
    """Return a cap; raise ``OverflowError`` for one that no dollar limit comes near."""
    if isinstance(cap, int) and cap >= LARGEST:
        raise OverflowError(f"{cap} is too large for a limit in dollars")
    return cap


def units(value: Any) -> Any:
    """Return a float or a ``Decimal`` as the whole number that it is; what is none, as it is."""
    try:
        return int(value) if value == int(value) else value
    except (ValueError, OverflowError, TypeError):  # NaN, infinity, nothing
        return value


def one(amount: int) -> None:
    """Let only single calls pass, where a library counts calls: raises ``Rejected`` for all others."""
    if amount != 1:
        raise Rejected("it counts calls, one at a time")


async def guarded(provider: Provider, failed: Callable[[], Any], done: Callable[[int], Any]) -> None:
    """Await the provider; call ``done`` with the bill, or ``failed`` on any error.

    A blocking wrapper cannot be cancelled as a coroutine can: what it does on an error is done then as well.
    """
    try:
        cost = await provider()
    except BaseException:
        failed()
        raise
    done(cost)


class Run:
    """A run of an agent that wants to call its model for ever, in a thread of its own, and one call at a time.

    ``loop`` is given a function that its model has to call; it comes back when the next call may be made.
    """

    def __init__(self, loop: Callable[[Callable[[], None]], Any]) -> None:
        self._asked: SimpleQueue[str] = SimpleQueue()
        self._go_on: SimpleQueue[bool] = SimpleQueue()
        self._began = False
        self._over = ""
        threading.Thread(target=_ran, args=(loop, self._asked, self._go_on), daemon=True).start()

    def next(self) -> None:
        """Answer the last call, and wait for the next; raises ``Refused`` where the run has ended instead."""
        if self._began and not self._over:
            self._go_on.put(True)
        self._began = True
        self._over = self._over or self._asked.get()
        if self._over:
            raise Refused(self._over)

    def __del__(self) -> None:
        """End a run that nobody asks any more."""
        self._go_on.put(False)


class RunAdapter(Adapter):
    """A limit on the calls of a run. One unit is a call of the model."""

    gate = Gate.CHARGE

    def loop(self, cap: int) -> Callable[[Callable[[], None]], Any]:
        """Return a run that is limited to so many calls, or steps, or turns."""
        raise NotImplementedError

    def open(self, cap: int) -> Run:
        """Begin a run."""
        return Run(self.loop(cap))

    def charge(self, scope: Run, amount: int) -> None:
        """Let it make its next call."""
        one(amount)
        scope.next()


def _ran(loop: Callable[[Callable[[], None]], Any], asked: SimpleQueue[str], go_on: SimpleQueue[bool]) -> None:
    """Do the run, and say how it ended."""

    def model() -> None:
        asked.put("")
        if not go_on.get():
            raise SystemExit

    try:
        loop(model)
        asked.put("the run came to its end")
    except BaseException as error:  # noqa: BLE001 - however it ends
        asked.put(type(error).__name__)
