"""One run inside: let the application go on until it can only wait, and do what is chosen then."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from capsound_checker.intake.limits import check_data
from capsound_checker.schedules.eventloop import Handle
from capsound_checker.wire.acting import Acting
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.dialects.registry import dialect_of
from capsound_checker.wire.dialects.shapes import Answer, BadRequest
from capsound_checker.wire.dialects.side import unbilled
from capsound_checker.wire.held import NOT_SERVED, Held, Order, Strange
from capsound_checker.wire.inside.loop import inside_loop
from capsound_checker.wire.judge import TELLING
from capsound_checker.wire.labels import Names
from capsound_checker.wire.replies import Replies
from capsound_checker.wire.schedule import Choice

WAIT = Choice("", "wait")
"""Time passes, to the next moment at which something rings, while requests are held."""

CANCEL = "cancel"
"""The act by which somebody cancels the task that waits for a request."""

_NONE = Answer(404, "application/json", (b'{"error": {"message": "capsound serves no such thing"}}',))

SILENT = Replies()
"""Nobody decides what the model says: it says the default."""

Main = Callable[[], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a run may go, in what can be counted."""

    requests: int = 200
    """How many choices are made before the application is stopped."""
    waits: int = 8
    """How often time may pass while requests are held."""
    steps: int = 100_000
    """How many steps of tasks may be made from one rest to the next."""
    jumps: int = 10_000
    """How often time may pass while nothing is held."""


class Session:
    """An application in progress. ``begin`` it, then ``rest`` and ``take`` in turn, until a rest says how it ended."""

    def __init__(self, billing: Billing, bounds: Bounds, replies: Replies = SILENT) -> None:
        self.acting = Acting(billing, replies=replies)
        self.bounds = bounds
        self.strange = Strange()
        self.status = 0
        self.printed: tuple[str, ...] = ()
        self.loop = inside_loop(self.unserved)
        self.waits = 0
        self.waits_cut = False
        """Whether time could have passed once more, and the bound forbade it."""
        self._names = Names()
        self._clocks: dict[int, Handle] = {}
        self._patience: dict[int, float] = {}
        self._owners: dict[int, asyncio.Task[Any] | None] = {}
        self._task: asyncio.Task[Any] | None = None
        self._running = ExitStack()
        self._ending = 0

    # -------------------------------------------------------------------------------- what an explorer asks

    def begin(self, main: Main) -> None:
        """Start an application; nothing of it has run when this returns."""
        self._running.enter_context(self.loop.running())
        self._running.enter_context(self.loop.generators())
        self._task = self.loop.create_task(main())

    def close(self) -> None:
        """Drop what has not ended: another session takes its place."""
        if self._task is not None:
            self.loop.clean()
        self._running.close()

    def forked(self) -> None:
        """Go on in a copy of the process: asyncio lets go of its running loop there."""
        self._running.enter_context(self.loop.running())

    def rest(self) -> str:
        """Let it go on until it can only wait; return nothing, or how the run has ended (see ``Run.ended``).

        Raises ``SystemExit`` where the application does.
        """
        loop, acting, jumps = self.loop, self.acting, 0
        task = self._task
        assert task is not None
        while True:
            if not self._drain():
                return self.over("hung")
            if task.done() and self._end():
                return self.over("exit")
            if loop.ready:
                continue
            if max(len(acting.choices), len(acting.held) - 1) >= self.bounds.requests and acting.offered():
                return self.over("requests")
            if acting.offered():
                return ""
            jumps += 1
            if jumps > self.bounds.jumps:
                return self.over("hung")
            if not loop.advance() and not acting.give_up_waiting():
                return self.over("hung")

    def _drain(self) -> bool:
        """Run all that is ready; return whether that comes to an end."""
        loop = self.loop
        for _ in range(self.bounds.steps):
            if not loop.ready:
                loop.due()
                if not loop.ready:
                    return True
            loop.take()
        return False

    def _end(self) -> bool:
        """Do what ``asyncio.run`` does when the main coroutine has ended; return whether all of it is done."""
        loop, task = self.loop, self._task
        assert task is not None
        if self._ending == 0:
            self._ending = 1
            self._result(task)
            for other in loop.tasks:
                if not other.done():
                    other.cancel()
            return not loop.ready and all(other.done() for other in loop.tasks)
        if self._ending == 1 and all(other.done() for other in loop.tasks):
            self._ending = 2
            loop.close_generators()
            return not loop.ready
        return self._ending == 2 and not loop.ready

    def _result(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.status, self.printed = 1, ("CancelledError",)
        elif (error := task.exception()) is not None:
            self.status = 1
            self.printed = tuple("".join(traceback.format_exception_only(error)).splitlines()[-3:])

    def over(self, how: str) -> str:
        """Close the connections that the application has left open: it ends, and nobody reads them."""
        for one in self.acting.held:
            if one.state in ("held", "begun", "stalled") and how == "exit":
                one.state = "ended"
                self.acting.left(one)
        return how

    def offered(self) -> list[str]:
        """Return the names of the requests with which something can be done, sorted."""
        return sorted(one.label for one in self.acting.offered())

    def can_wait(self) -> bool:
        """Whether time can pass: the application has set a timer of its own, and waits are left."""
        clocks = set(map(id, self._clocks.values()))
        waiting = any(id(h) not in clocks and not h.is_cancelled for _, _, h in self.loop.timers)
        if waiting and self.waits >= self.bounds.waits:
            self.waits_cut = True
            return False
        return waiting

    def cancellable(self) -> list[str]:
        """Return the names of the requests whose task can be cancelled: any but the main one."""
        return sorted(
            one.label for one in self.acting.offered() if self._owners.get(one.number) not in (None, self._task)
        )

    def take(self, choice: Choice) -> None:
        """Do what is chosen: one of ``offered`` with an act, or ``WAIT``."""
        acting = self.acting
        held = tuple(self.offered())
        acting.choices.append((choice, held))
        if choice == WAIT:
            self.waits += 1
            self.loop.advance()
            return
        one = next(one for one in acting.offered() if one.label == choice.label)
        owner = self._owners.get(one.number)
        if choice.act == CANCEL and owner is not None:
            owner.cancel()
        else:
            acting.do(choice, one)

    # ---------------------------------------------------------------------------- what tells states from another

    def labels(self, task: asyncio.Task[Any]) -> list[tuple[str, str]]:
        """Return the requests that a task waits for."""
        return [(o.label, o.state) for o in self.acting.held if o.state != "ended" and self._owners[o.number] is task]

    def history(self, task: asyncio.Task[Any]) -> tuple[tuple[str, ...], ...]:
        """Return all requests that a task has sent, and what came of each."""
        fates = self._fates()
        return tuple(fates[one.number] for one in self.acting.held if self._owners[one.number] is task)

    def _fates(self) -> dict[int, tuple[str, ...]]:
        fates: dict[int, tuple[str, ...]] = {}
        for did in self.acting.did:
            before = fates.get(did.number, (did.label,))
            fates[did.number] = before if did.what == "arrived" else (*before, did.what, did.act)
        return fates

    def books(self) -> object:
        """Return what a verdict on the rest of the run depends on: bills, and which answer was the last."""
        acting = self.acting
        flying = last = 0
        overlapped = alone = False
        for did in acting.did:
            if did.what == "arrived":
                flying += 1
                overlapped = overlapped or flying > 1
            elif did.what in ("answered", "left", "closed"):
                alone = flying == 1
                flying -= 1
                if did.what == "answered":
                    last = (did.bill.amount or 0) if did.bill is not None and did.act in TELLING else 0
        names = [(one.label, one.named.failed, one.named.repeated) for one in acting.held]
        return (
            sorted(self._fates().values()),
            sorted(names),
            (alone, 0 if alone else last, overlapped),  # whether a request was sent in ignorance of the last answer
            (self.waits, len(acting.choices), self._ending, sorted(self.strange.counts.items())),
        )

    # ------------------------------------------------------------------------------- what the transport asks

    def receive(self, method: str, path: str, raw: bytes, headers: Any, patience: float | None) -> Held | Answer:
        """Take a request; return it, or an answer at once where it is none for a model. ``path`` has its query."""
        dialect, bare = dialect_of(path), path.partition("?")[0]
        try:
            body = json.loads(raw) if raw else {}
            check_data(body)
            if not isinstance(body, dict):
                raise BadRequest("the body is no JSON object")
            if (free := unbilled(method, path, body)) is not None:
                return free
            if dialect is None or method != "POST":
                self.strange.add("unknown path" if method == "POST" else "other", f"{method} {bare}")
                return _NONE
            asked = dialect.asked(path, body)
        except (BadRequest, ValueError, RecursionError) as error:
            told = error.message if isinstance(error, BadRequest) else "the body is no JSON"
            self.strange.add("bad request", f"{method} {bare}: {told}")
            return dialect.error(400, told) if dialect is not None else _NONE
        if len(self.acting.held) > self.bounds.requests:  # the run is stopped as soon as it rests
            return dialect.error(429, "too many requests")
        named = self._names.name(path, body, asked, headers)
        one = Held(len(self.acting.held) + 1, named, dialect, asked, path, body, 0)
        self.acting.held.append(one)
        self.acting.arrived(one)
        self._owners[one.number] = asyncio.current_task(self.loop)
        if patience is not None:
            self._patience[one.number] = patience
        return one

    async def order(self, held: Held) -> Order:
        """Wait for what is chosen for a request, as long as its client is willing to wait."""
        patience = self._patience.get(held.number)
        if patience is not None:
            self._clocks[held.number] = self.loop.call_later(patience, self._too_late, held)
        try:
            order = await held.orders.get()
        except asyncio.CancelledError:
            self.left(held)
            raise
        finally:
            if (clock := self._clocks.pop(held.number, None)) is not None:
                clock.cancel()
        if order.then == "more":
            held.state = "begun"
        return order

    def _too_late(self, held: Held) -> None:
        """Let the client of a request give up: it has waited long enough."""
        if held.state == "ended":
            return
        if held.state != "stalled":  # it was held all the time: no answer has come either
            self.acting.do(Choice(held.label, "stall"), held)
        self.left(held)
        held.orders.put_nowait(Order(Answer(408, "text/plain", ()), (), "timeout"))

    def left(self, held: Held) -> None:
        """Note that the client of a request has given it up."""
        if held.state != "ended":
            held.gone, held.state = True, "ended"
            self.acting.left(held)

    def unserved(self, what: str) -> None:
        """Note what the application needs and does not get."""
        self.strange.add(NOT_SERVED, what)
