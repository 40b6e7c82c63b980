"""One run of several agents of asyncio: a chooser says who goes on, and the monitor hears what is done.

Each agent is a task on a loop of ours and makes a few calls, one after the other. The harness is the provider: when
its replies come, which task runs next, whom somebody cancels and when time passes are choices. What the implementation
does is told to the monitor as ``Lockstep`` tells it; what is new here is only that a call is suspended by the
loop, wherever the library awaits, and not by hand.
"""

# ruff: noqa: SLF001  the state of a run is that of the monitor too, and it keeps that to itself

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from capsound.accounts import RESOLVED, HoldState
from capsound.adapter import Adapter, Answer, Gate, Kind, ask, classify
from capsound.amounts import CallId
from capsound.errors import CapsoundError
from capsound.events import Cancel, Observe, Release, Timeout
from capsound.monitor import Monitor
from capsound_checker.programs.exhaust import Opaque
from capsound_checker.programs.lockstep import (
    _NOTHING,
    AdapterFailed,
    Lockstep,
    ProviderError,
    Says,
    _Call,
    _ours,
    _told,
    account_id,
    agent_id,
    hold_id,
)
from capsound_checker.programs.program import Step
from capsound_checker.programs.watch import Hung, limit
from capsound_checker.schedules.agents import Call, Program
from capsound_checker.schedules.eventloop import NeedsRealLoop, new_loop, yields
from capsound_checker.schedules.interleave import (
    Chooser,
    Cut,
    Exhaustive,
)
from capsound_checker.schedules.objects import Reader, World
from capsound_checker.schedules.remembering import Memory, Remembered

T = TypeVar("T")


class ProviderTimeout(ProviderError, TimeoutError):
    """The provider did not answer in time; it has billed the call all the same."""


def _alone(error: BaseException) -> BaseException:
    """Return what a task group wraps, where it is one error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@dataclass
class _Agent:
    """One agent of a run: how far it is, and which call it makes now."""

    number: int
    calls: tuple[Call, ...]
    account: int
    kind: int
    """The same for agents that are alike: one of them is enough to begin."""
    task: asyncio.Task[Any] | None = None
    next: int = 0
    hold: int | None = None
    holds: list[int] = field(default_factory=list)
    made: _Call | None = None
    cancelled: bool = False
    ended: bool = False
    said: Says = _NOTHING
    busy: tuple[str, int, bool] | None = None
    """The operation that it awaits now: which, of how much, and whether it was told before it ended."""


@dataclass
class _Request:
    """One request that is at the provider."""

    agent: _Agent
    call: Call
    hold: int
    future: asyncio.Future[int]


class _Move(NamedTuple):
    """Something that can happen now."""

    kind: str  # step, start, reply, time, cancel
    actor: int
    agent: _Agent | None = None
    at: int = 0
    request: _Request | None = None


class Concurrent(Lockstep):
    """One run of a program: ``go`` does it with a chooser."""

    def __init__(
        self,
        adapter: Adapter,
        program: Program,
        *,
        fifo: bool = False,
        world: World | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(adapter, Monitor() if memory is None else cast("Monitor", Remembered(memory)))
        self.plan = program
        self.loop = new_loop(fifo=fifo)
        self.loop.began = self._began
        self.world = world
        self.agents: list[_Agent] = []
        self.requests: list[_Request] = []
        self.tale: list[tuple[str, int, int]] = []
        self.failed: CapsoundError | None = None
        self.hung: list[int] = []
        self.rang = False
        """Whether the time limit struck: every further run would cost it again."""
        self._owners: dict[asyncio.Task[Any], _Agent] = {}
        self._serves: dict[asyncio.Task[Any], _Call] = {}
        self._prepared: Answer | None = None
        self._looked: dict[int, object] = {}
        self._says: dict[int, Says] = {}
        """What the accounts said since the last step: between two steps nobody can change it."""
        self._step_began: Says = _NOTHING
        self._grown: dict[int, list[int]] = {}
        self._least: dict[int, int] = {}
        self._spun: set[asyncio.Task[Any]] = set()
        """The tasks that did nothing in their last step but to let others go first."""
        self._last = -1
        self._idle = 0
        self._begun = 0
        self._cancels = program.cancels
        self._unborn = 0
        """How many agents have not begun."""

    # ------------------------------------------------------------------------------------------ what differs

    def _ask(self, operation: str, *args: Any) -> Answer:
        if self._prepared is not None:
            answer, self._prepared = self._prepared, None
            return answer
        self._says.clear()
        answer = ask(self.adapter, operation, *args)  # the run as a whole has a time limit
        if answer.kind is Kind.HUNG:
            self._hang([self._actor])
        elif answer.kind is Kind.FAILED:
            raise self._unclassified(operation, answer)
        return answer

    def _between(self, number: int) -> Says:
        """Do what ``_look`` does, between two steps."""
        says = self._says.get(number)
        if says is None:
            says = self._says[number] = self._look(number)
        return says

    def _look(self, number: int, *, quiet: bool = False) -> Says:
        if self.spoiled:
            return _NOTHING
        try:
            return self.adapter.observe(self.scopes[number])
        except Hung:
            raise
        except Exception:  # noqa: BLE001 - asked again, and told as always
            return super()._look(number, quiet=quiet)

    def _read(self, what: str, read: Callable[[Any], T], number: int, *, quiet: bool = False) -> T | None:
        if self.spoiled:
            return None
        try:
            return read(self.scopes[number])
        except Hung:
            raise
        except Exception as error:
            if not quiet and not self.state.accounts[account_id(number)].closed:
                raise self._unclassified(what, classify(self.adapter, error)) from error
        return None

    def _observe(self) -> None:
        """Do what ``Lockstep`` does, a little faster, and only while nobody awaits an operation."""
        if self.spoiled:
            return
        for agent in self.agents:
            if agent.busy is not None:
                return
        if "balances" in self.offers:
            super()._observe()
            return
        accounts, charges = self.state.accounts, self.adapter.gate is Gate.CHARGE
        for made in self.calls.values():
            if self._pending(made):
                return
        for number in self.scopes:
            account = accounts[account_id(number)]
            if account.closed:
                continue
            says = self._between(number)
            moved = account.available, account.held, account.charged, account.forfeited, account.delegated
            said = says, moved, account.returned
            if self._looked.get(number) != said:
                spent, held, remaining = says
                if spent is None or remaining is None:
                    continue
                self._looked[number] = said
                if charges:  # what it debits before the call is held until the call has ended
                    spent, held = spent - account.held, account.held
                self.tell(Observe(account.id, spent, remaining, held))

    def _refuse(self, step: Step, why: str, account: int | None = None) -> None:
        """Tell a refusal, unless there was a moment while it was being made at which it was right."""
        others = sum(a.busy[1] for a in self.agents if a.busy is not None and a.number != step.agent)
        least = self._least.get(step.agent)
        number = step.on if account is None else account
        free = self.state.account(account_id(number)).available
        right = free - others if least is None else min(free - others, least)
        if not right < step.amount <= free:
            super()._refuse(step, why, account)

    def _unclassified(self, operation: str, answer: Answer) -> AdapterFailed:
        failed = super()._unclassified(operation, answer)
        if self.loop.needs is not None:
            raise self.loop.needs
        return failed

    # ------------------------------------------------------------------------------------------------ agents

    def _began(self, task: asyncio.Task[Any]) -> None:
        """Note that a task belongs to the agent that began it, and serves the call that this agent makes."""
        parent = asyncio.current_task(self.loop)
        if parent is not None and parent in self._owners:
            self._owners[task] = self._owners[parent]
            made = self._serves.get(parent)
            if made is not None:
                self._serves[task] = made

    async def _life(self, agent: _Agent) -> None:
        try:
            for call in agent.calls:
                agent.next += 1
                agent.cancelled = False  # if it was, the library has kept that to itself
                agent.hold = self._begun
                self._begun += 1
                agent.holds.append(agent.hold)
                self._say(agent, f"calls for {call.estimate}")
                if self.adapter.gate is Gate.CALL:
                    await self._wrapped(agent, call, agent.hold)
                else:
                    await self._by_hand(agent, call, agent.hold)
                if self.spoiled:
                    return
        except asyncio.CancelledError:
            pass
        except CapsoundError as error:
            self.failed = self.failed or error
        finally:
            agent.ended, agent.busy, agent.made = True, None, None
            self._least.pop(agent.number, None)
        self._closes(agent)

    def _closes(self, agent: _Agent) -> None:
        sliced = self.agents[: self.plan.sliced]
        if agent in sliced and all(a.ended for a in sliced) and "close" in self.offers and not self.spoiled:
            try:
                self._say(agent, "closes the slice")
                self.do(Step("close", agent.number, agent.account))
            except CapsoundError as error:
                self.failed = self.failed or error

    async def _wrapped(self, agent: _Agent, call: Call, hold: int) -> None:
        """Let the library make a call; what it lets out is judged where the call ends."""
        account = agent.account
        self._step_began = self._look(account)
        made = _Call(
            hold,
            account,
            agent.number,
            call.estimate,
            call.bill,
            coroutine=None,  # type: ignore[arg-type]  # the loop drives it
            before=self._step_began,
            resumed=self._step_began,
            name=hold_id(hold),
        )
        self.calls[hold] = agent.made = made
        assert agent.task is not None
        self._serves[agent.task] = made
        self._enter(agent)

        async def provider() -> int:
            self._reached(made)
            if self.spoiled:
                return made.bill
            return await self._arrived(agent, call, hold, made)

        try:
            await self.adapter.call(self.scopes[account], call.estimate, provider)
        except (KeyboardInterrupt, NeedsRealLoop, GeneratorExit):
            raise
        except BaseException as raised:
            answer = classify(self.adapter, alone := _alone(raised))
            if answer.kind is Kind.FAILED and (_ours(alone) or isinstance(alone, TimeoutError)):
                answer = Answer(Kind.DONE)
            if isinstance(alone, TimeoutError) and self._pending(made) and answer.kind is Kind.DONE:
                made.how = made.how or "cancel"  # it waited too long for its turn: that is no refusal
            self._over(made, answer)
            if isinstance(raised, asyncio.CancelledError) and agent.cancelled:
                raise
        else:
            self._over(made, Answer(Kind.DONE))
        finally:
            agent.made = None
            self._least.pop(agent.number, None)

    def _over(self, made: _Call, answer: Answer) -> None:
        """Tell that a call has ended, and what became of its hold in all the steps since its fate was known."""
        if self.spoiled:
            return
        self.rang = self.rang or answer.kind is Kind.HUNG
        if not made.how and made.place == "returning":
            made.how = "fail"  # its library gave up waiting for the provider
        before = self._before(made)
        place = made.place
        self._ended(made, before, answer)
        if place in ("at provider", "returning") and answer.kind is Kind.REFUSED:
            self._least.pop(made.agent, None)
        self._step_began = self._look(made.account)
        self._grown.pop(made.hold, None)

    def _before(self, made: _Call) -> Says:
        """Return what the account would have said before all that the call has moved since its fate was known."""
        now, then = self._look(made.account), self._step_began
        moved = self._grown.get(made.hold, [0, 0])
        spent = None if then[0] is None else then[0] - moved[0]
        remaining = None if then[2] is None else then[2] - moved[1]
        return spent, now[1], remaining

    async def _arrived(self, agent: _Agent, call: Call, hold: int, made: _Call | None) -> int:
        """Wait at the provider until the schedule says that its answer comes."""
        future: asyncio.Future[int] = self.loop.create_future()
        request = _Request(agent, call, hold, future)
        self.requests.append(request)
        self._idle = 0
        try:
            bill = await future
        except asyncio.CancelledError:
            if made is not None and made.how in ("", "reply") and not agent.cancelled:
                self.tell(Timeout(made.call))  # the library gave up, perhaps just as the reply came
                made.how = "fail"
            raise
        finally:
            if request in self.requests:
                self.requests.remove(request)
            if made is not None and made.place == "at provider":
                made.place = "returning"
        return bill

    async def _by_hand(self, agent: _Agent, call: Call, hold: int) -> None:
        """Admit a call, send it, and tell the library what it cost."""
        gate, account = self.adapter.gate, agent.account
        self._enter(agent)
        if gate is not Gate.RECORD:
            await self._do(agent, gate.value, (self.scopes[account], call.estimate), call.estimate)
        if hold in self.handles:
            self._came(hold)
        else:
            seen = self._least.get(agent.number, 0)
            if self._prepared is not None and self._prepared.kind is Kind.DONE and seen != self._free(account):
                now, then = self._look(account)[2], agent.said[2]
                just = now is not None and then is not None and then - now >= call.estimate
                self.spoiled = gate is not Gate.CHECK and not just  # nobody has seen when it was admitted
            self.do(Step("reserve", agent.number, account, hold, call.estimate))
        self._prepared = None
        self._least.pop(agent.number, None)
        if self.spoiled or hold not in self.handles or self.state.hold(hold_id(hold)).state is not HoldState.HELD:
            return
        if "sent" in self.offers:
            await self._do(agent, "sent", (self.handles[hold],), 0)
        self.do(Step("send", agent.number, hold, bill=call.bill))
        self._prepared = None
        name = CallId(f"c{self._sent}")
        if self.spoiled or self.state.hold(hold_id(hold)).state is not HoldState.SENT:
            return
        try:
            await self._arrived(agent, call, hold, None)
        except asyncio.CancelledError:
            self.tell(Cancel(hold_id(hold)))
            await self._lost(agent, hold)
            raise
        except ProviderError:
            self.tell(Timeout(name))
            await self._lost(agent, hold)
            return
        await self._end_by(agent, hold, "settle")

    async def _lost(self, agent: _Agent, hold: int) -> None:
        """Write off what has no bill; where that is not offered, the bill is told late."""
        if self.adapter.gate is Gate.RESERVE:
            if "forfeit" in self.offers:
                await self._end_by(agent, hold, "forfeit")
            return
        await self._end_by(agent, hold, "settle")

    async def _end_by(self, agent: _Agent, hold: int, step: str) -> None:
        known = self.state.hold(hold_id(hold))
        operation, args = step, cast("tuple[Any, ...]", (self.handles[hold], known.billed))
        if step == "forfeit":
            args = args[:1]
        elif self.adapter.gate in (Gate.CHECK, Gate.RECORD):
            operation, args = "record", (self.scopes[agent.account], known.billed)
        if operation in self.offers:
            agent.hold = hold
            await self._do(agent, operation, args, 0)
        if hold in self.handles and self.state.hold(hold_id(hold)).state not in RESOLVED:
            self.do(Step(step, agent.number, hold))
        self._prepared = None

    def _came(self, hold: int) -> None:
        """Take the answer to an admission that was seen and told before it came."""
        answer, self._prepared = self._prepared, None
        assert answer is not None
        self.handles[hold] = answer.value
        if answer.kind is not Kind.DONE:
            self.tell(Release(hold_id(hold)))

    def _enter(self, agent: _Agent) -> None:
        self._least[agent.number] = self._free(agent.account)

    def _free(self, account: int) -> int:
        return int(self.state.account(account_id(account)).available)

    async def _do(self, agent: _Agent, operation: str, args: tuple[Any, ...], amount: int) -> None:
        """Await an operation that is ``async def``, and keep its answer for the step that tells of it."""
        method = getattr(self.adapter, operation)
        if not inspect.iscoroutinefunction(method):
            return
        agent.busy = (operation, amount, False)
        agent.said = self._look(agent.account)
        try:
            answer = Answer(Kind.DONE, await method(*args))
        except (KeyboardInterrupt, NeedsRealLoop, GeneratorExit):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and agent.cancelled:
                raise
            answer = classify(self.adapter, error)
        finally:
            agent.busy = None
        if answer.kind is Kind.FAILED:
            raise self._unclassified(operation, answer)
        if operation == "check" and answer.kind is Kind.DONE and not answer.value:
            answer = Answer(Kind.REFUSED, why="check says no")
        self._prepared = answer

    def _suspended(self, agent: _Agent) -> None:
        """Tell at once of an operation that may have moved something, and has not come back itself."""
        if agent.busy is None or agent.busy[2] or agent.hold is None or self.spoiled:
            return
        operation, amount, _ = agent.busy
        if operation in ("reserve", "charge"):
            left, then = self._look(agent.account)[2], agent.said[2]
            if left is not None and then is not None and then - left >= amount > 0:
                agent.busy = (operation, 0, True)
                self._prepared = Answer(Kind.DONE)
                self.do(Step("reserve", agent.number, agent.account, agent.hold, amount))
                self._prepared = None
            return
        step = _TELLS.get(operation)
        now = self._look(agent.account)
        blind = now[0] is None and now[2] is None
        if step is not None and (blind or now[0] != agent.said[0] or now[2] != agent.said[2]):
            if blind and self.state.hold(hold_id(agent.hold)).deficit:
                self.spoiled = True  # nobody sees when the debt is there
                return
            agent.busy = (operation, amount, True)
            self._prepared = Answer(Kind.DONE)
            self.do(Step(step, agent.number, agent.hold))
            self._prepared = None

    # ------------------------------------------------------------------------------------------------- moves

    def _moves(self) -> list[_Move]:
        """Return what can happen now, what is proposed first."""
        loop, owners, spun = self.loop, self._owners, self._spun
        first: list[_Move] = []
        spins: list[_Move] = []
        if loop.fifo:
            if loop.ready:
                task = loop.ready[0].task
                owner = owners.get(task) if task is not None else None
                spin = all(yields(h) and h.task in spun for h in loop.ready)
                (spins if spin else first).append(_Move("step", -1 if owner is None else owner.number, owner))
        else:
            for at, handle in enumerate(loop.ready):
                owner = owners.get(handle.task)  # type: ignore[arg-type]
                spin = handle.task in spun and yields(handle)
                (spins if spin else first).append(_Move("step", -1 if owner is None else owner.number, owner, at))
        idle = not first  # time does not pass while somebody has something to do
        first += [
            _Move("reply", r.agent.number, r.agent, 0, r)
            for r in self.requests
            if r.call.ends != "never" and not r.future.done()
        ]
        if self._unborn:
            offered: set[object] = set()
            for agent in self.agents:
                if agent.task is None and agent.kind not in offered:
                    offered.add(agent.kind)
                    first.append(_Move("start", agent.number, agent))
        if len(first) > 1 and not loop.fifo:
            last = self._last
            first.sort(key=lambda move: (move.actor != last, move.actor))
        alive = bool(first or spins) or any(not a.ended for a in self.agents)
        if idle and loop.timers and loop.next_timer() is not None and alive:
            first.append(_Move("time", _TIME))
        first += spins
        if self._cancels and first:
            for agent in self.agents:
                telling = agent.busy is not None and agent.busy[0] in _TELLS  # an agent sees to it that it is told
                if agent.next and not agent.ended and not agent.cancelled and not telling:
                    first.append(_Move("cancel", _CANCEL + agent.number, agent))
        return first

    def _say(self, agent: _Agent | None, text: str) -> None:
        who = "" if agent is None else f"{agent_id(agent.number)} "
        self.tale.append((f"{who}{text}", len(self.events), len(self.findings)))

    def _happen(self, move: _Move) -> None:
        agent = move.agent
        if move.kind == "step":
            self._take(move.at)
        elif move.kind == "start":
            assert agent is not None
            self._unborn -= 1
            agent.task = self.loop.create_task(self._life(agent))
            self._owners[agent.task] = agent
            self._idle = 0
            if not self.loop.fifo:
                self._take(len(self.loop.ready) - 1)
        elif move.kind == "reply":
            assert move.request is not None
            self._reply_comes(move.request)
        elif move.kind == "cancel":
            assert agent is not None
            self._cancels -= 1
            self._give_it_up(agent)
        else:
            self._say(None, f"time passes, to {self.loop.next_timer():g} s")
            self.loop.advance()
        self._last = move.actor if move.actor < _CANCEL else self._last

    def _reply_comes(self, request: _Request) -> None:
        agent, call = request.agent, request.call
        self._idle = 0
        made = self.calls.get(request.hold)
        if call.ends == "reply":
            self._say(agent, f"gets its reply, billed {call.bill}")
            if made is not None and made.how not in ("cancel", "crash"):
                made.how = "reply"
            request.future.set_result(call.bill)
        else:
            what = ProviderError if call.ends == "error" else ProviderTimeout
            self._say(agent, f"gets {'an error' if call.ends == 'error' else 'no reply in time'}, billed {call.bill}")
            if made is not None:
                self.tell(Timeout(made.call))
                if made.how not in ("cancel", "crash"):
                    made.how = "fail"
            request.future.set_exception(what(f"the provider: {call.ends}"))
        if made is not None:
            made.place = "returning"
        self.loop.flush()
        if not self.loop.fifo and not self._cancels:
            for at, handle in enumerate(self.loop.ready):
                if handle.args and handle.args[0] is request.future:  # nobody but the waiter can tell it from waiting
                    self._take(at)
                    break

    def _give_it_up(self, agent: _Agent) -> None:
        assert agent.task is not None
        self._idle = 0
        agent.cancelled = True
        self._say(agent, "is cancelled")
        made = agent.made
        if made is not None and made.place != "ended":
            made.how = "cancel"
            if not self._pending(made):
                self.tell(Cancel(made.name))
            if made.place == "at provider":
                made.place = "returning"
        agent.task.cancel("the caller gave up")
        self.loop.flush()

    def _take(self, at: int) -> None:
        """Run one handle, and tell what can be seen of it."""
        handle = self.loop.ready[at]
        task = handle.task
        agent = self._owners.get(task) if task is not None else None
        made = self._serves.get(task) if task is not None else None
        if agent is not None and agent.busy is not None and not self.spoiled:
            agent.said = self._between(agent.account)
        if made is not None and not self.spoiled:
            self._step_began = made.resumed = self._between(made.account)
        self._says.clear()
        self.loop.take(at)
        self._says.clear()
        if self.loop.needs is not None and self.failed is None:
            self.failed = self.loop.needs
        if agent is None or self.failed is not None or self.spoiled:
            return
        assert task is not None
        again = self._serves.get(task)
        if again is not None:
            self._after(again)
        self._suspended(agent)
        self._spun.discard(task)
        if task.done():
            self._idle = 0
            return
        for waiting in self.loop.ready:
            if waiting.task is task and yields(waiting):
                self._spun.add(task)

    def _after(self, made: _Call) -> None:
        """Tell what a step has shown of a call: that it was admitted, or what became of its hold."""
        now = self._between(made.account)
        began = self._step_began
        if made.place == "waiting" and not made.how:
            self._admitted(made, began)
        known = self.state.holds.get(made.name)
        if not made.how or known is None or known.state in RESOLVED or made.place == "at provider":
            return
        moved = self._grown.setdefault(made.hold, [0, 0])
        spent = 0 if now[0] is None or began[0] is None else now[0] - began[0]
        remaining = 0 if now[2] is None or began[2] is None else now[2] - began[2]
        if not spent and not remaining:
            return
        before = self._before(made)
        event = self._resolution(made, before, now)
        if event is not None:
            self.tell(event)
        moved[0] += spent
        moved[1] += remaining

    # ---------------------------------------------------------------------------------------------- the run

    def go(self, chooser: Chooser) -> Concurrent:
        """Do the program; ``chooser`` says what happens where more than one thing can.

        Raises ``Cut`` when the chooser does, ``AdapterFailed`` and ``NeedsRealLoop`` where nothing can be said of
        the implementation.
        """
        with self.loop.running(), _same_chance(type(self.adapter)):
            try:
                with limit():
                    self._go(chooser)
            except Hung:
                self.rang = True
                self._stall()
            finally:
                failed = self.failed
                for made in self.calls.values():
                    made.place = "ended"
                self.loop.clean()
        if failed is not None:
            raise failed
        return self

    def _go(self, chooser: Chooser) -> None:
        program = self.plan
        self.do(Step("open", amount=program.cap))
        on = 0
        if program.slice is not None and "delegate" in self.offers:
            self.do(Step("delegate", 0, 0, 1, program.slice))
            on = 1 if 1 in self.scopes else 0
        sliced = program.sliced if on else 0
        kinds: dict[object, int] = {}
        for n, calls in enumerate(program.agents):
            kind = kinds.setdefault((calls, n < sliced, n < program.sliced), n)
            self.agents.append(_Agent(n, calls, on if n < sliced else 0, kind))
        self._unborn = len(self.agents)
        key = None if self.world is None else self.key
        passed = 0
        while self.failed is None and not self.spoiled:
            moves = self._moves()
            if not any(m.kind in ("step", "reply") for m in moves) and all(a.ended for a in self.agents):
                break
            if not moves:
                if self._give_up_waiting():
                    continue
                self._stall()
                return
            choice = 0
            if len(moves) > 1:
                try:
                    choice = chooser.choose([move.actor for move in moves], key)
                except Cut:
                    if not isinstance(chooser, Exhaustive) or not chooser.cycle or not self._goes_round(moves):
                        raise
                    if not self._give_up_waiting():
                        if not self._turns():
                            raise
                        return
                    continue
            self._idle += 1
            passed += 1
            self._happen(moves[choice])
            if self.failed is None and not self.spoiled:
                self._watch()
                self._observe()
            if self._idle > _PATIENCE * len(self.agents) or passed > _LONGEST:
                if any(move.kind in ("reply", "start") for move in moves):
                    raise Cut
                if passed <= _LONGEST and self._give_up_waiting():
                    continue
                if not self._turns():
                    raise Cut  # somebody was kept waiting by this schedule alone
                return
        if self.failed is None and not self.spoiled:
            for request in self.requests:  # nobody strands what the provider has not answered yet
                if request.hold in self.calls:
                    self.calls[request.hold].how = ""
            self._abandoned()

    def _watch(self) -> None:
        """Keep the least that was free while each agent has been asking: a refusal may be right for that moment."""
        accounts = self.state.accounts
        for number, least in self._least.items():
            agent = self.agents[number]
            free: int = accounts[account_id(agent.account)].available
            for other in self.agents:
                if other.busy is not None and other is not agent:
                    free -= other.busy[1]
            if free < least:
                self._least[number] = free

    def _give_up_waiting(self) -> bool:
        """Cancel the first agent whose provider never answers."""
        request = self._waits_for_nothing()
        if request is None:
            return False
        self._give_it_up(request.agent)
        return True

    def _waits_for_nothing(self) -> _Request | None:
        never = (r for r in self.requests if r.call.ends == "never")
        return next((r for r in never if not r.agent.cancelled and not r.agent.ended), None)

    @staticmethod
    def _goes_round(moves: list[_Move]) -> bool:
        """Whether nobody can do anything but to look again at what has not changed."""
        return all(move.kind in ("step", "time", "cancel") for move in moves)

    def _turns(self) -> bool:
        """Let agents that go round do so, in turn; return whether they hang. The run is over in any case."""
        self._idle = 0
        for turn in range(2 * _PATIENCE * len(self.agents)):
            moves = self._moves()
            steps = [move for move in moves if move.kind == "step"]
            passes = [move for move in moves if move.kind == "time"]
            if not (steps or passes) or self.failed is not None or self.spoiled:
                return False
            first = min(steps, key=lambda move: move.at, default=None)
            chosen = passes[0] if passes and (first is None or turn % _PATIENCE == _PATIENCE - 1) else first
            assert chosen is not None
            ended = sum(a.ended for a in self.agents)
            self._happen(chosen)
            if self.requests or ended != sum(a.ended for a in self.agents):
                return False
        self._stall()
        return True

    def _stall(self) -> None:
        self.hung = [agent.number for agent in self.agents if not agent.ended]
        if self.hung and not self.spoiled:
            self._say(None, "nothing can happen any more")
            self._hang(self.hung)

    # -------------------------------------------------------------------------------------------- the state

    def key(self) -> object:
        """Return the state of everything that decides how the run can go on; agents that are alike in any order.

        Raises ``Opaque`` where it cannot be read.
        """
        assert self.world is not None
        reader = Reader(self.world, self.loop)
        shared = (reader.variables(), reader.read(self.adapter), reader.read(self.scopes))
        parts = [(self._part(agent, reader.fork()), agent) for agent in self.agents]
        parts.sort(key=lambda part: repr(part[0]))
        told = [self._part(agent, reader) for _, agent in parts]
        owned = {agent.number: at for at, (_, agent) in enumerate(parts)}
        tasks = [
            (owned.get(self._owners[t].number) if t in self._owners else -1, reader.read(t))
            for t in self.loop.tasks
            if not t.done()
        ]
        tasks.sort(key=repr)
        timers = [reader.read(handle) for _, _, handle in sorted(self.loop.timers, key=lambda x: x[:2])]
        queue = [reader.read(handle) for handle in self.loop.ready] if self.loop.fifo else None
        return shared, told, tasks, timers, queue, self._books(), self._cancels, self._idle > 0

    def _part(self, agent: _Agent, reader: Reader) -> object:
        made = agent.made
        call: object = None
        if made is not None:
            early = made.before if made.place == "waiting" else None
            call = (made.place, made.how, made.keeps, made.waited, early, self._grown.get(made.hold))
        waits = [r.call for r in self.requests if r.agent is agent]
        ready = [reader.read(h) for h in self.loop.ready if h.task is not None and self._owners.get(h.task) is agent]
        handles = [reader.read(self.handles.get(n)) for n in agent.holds]
        return (
            (agent.calls[agent.next :], agent.account, agent.task is not None, agent.ended, agent.cancelled),
            (agent.busy, self._least.get(agent.number), call, waits),
            [self._hold_said(n) for n in agent.holds],
            handles,
            ready,
            reader.read(agent.task) if agent.task is not None else None,
        )

    def _hold_said(self, number: int) -> object:
        holds = self.state.holds
        known = [h for name in (hold_id(number), f"{hold_id(number)}+") if (h := holds.get(name)) is not None]  # type: ignore[call-overload]
        made = self.calls.get(number)
        return [(h.account, h.amount, h.state, h.billed) for h in known], made is not None and (made.how, made.keeps)

    def _books(self) -> object:
        heard: object = self.monitor
        monitor = heard.node.monitor if isinstance(heard, Remembered) else self.monitor
        flags = monitor._flags
        return (
            tuple(self.state.accounts.values()),
            sorted(monitor._windows.items()),
            sorted(monitor._open_deficit.items()),
            sorted(monitor._told.items()),
            sorted((name, sorted(wrong.items())) for name, wrong in monitor._wrong.items()),
            sorted((name, said.spent) for name, said in monitor._seen.items()),
            [books.overrun_broken for books in monitor._books.values()],
            sorted(name for name, count in flags.items() if count),
            sorted({finding.anomaly for finding in self.findings}),
        )

    # -------------------------------------------------------------------------------------------- the story

    def told(self) -> str:
        """Return the run in words: what each agent did, the events, and what the monitor found."""
        wrong = {id(finding) for finding in self.wrong()}
        parts = [("the budget is opened", 0, 0), *self.tale, ("the end", len(self.events), len(self.findings))]
        lines: list[str] = []
        for number, (head, heard, found) in enumerate(parts):
            until = parts[number + 1][1] if number + 1 < len(parts) else len(self.events)
            found_until = parts[number + 1][2] if number + 1 < len(parts) else len(self.findings)
            body = _told(self.events[heard:until], tuple(self.findings[found:found_until]), wrong)
            if head == "the end" and not body:
                continue
            lines += [f"[{number + 1}] {head}", *body]
        report = self.report()
        if report.refuted is not None:
            lines.append(f"hence not {report.refuted.label}: at most {report.strongest.label}")
        elif not wrong:
            lines.append("nothing is wrong")
        return "\n".join(lines)


_TELLS = {"settle": "settle", "record": "settle", "forfeit": "forfeit"}
"""The operations by which an agent tells the library what became of a call, and the step that stands for each."""

_CANCEL = 1_000
_TIME = 2_000
_PATIENCE = 60
_LONGEST = 5_000


def run(
    adapter: type[Adapter],
    program: Program,
    chooser: Chooser,
    *,
    fifo: bool = False,
    world: World | None = None,
    memory: Memory | None = None,
) -> Concurrent:
    """Do one schedule of a program. Raises ``AdapterFailed``, ``NeedsRealLoop``, and ``Cut`` when the chooser does.

    ``world`` is what states are read with, if they are to be merged; ``memory`` is shared by runs that begin alike.
    """
    return Concurrent(adapter(), program, fifo=fifo, world=world, memory=memory).go(chooser)


def world_of(adapter: type[Adapter]) -> World | None:
    """Return what the states of an adapter are read with, or None where they cannot be read."""
    world = World()
    try:
        world.reach(adapter)
    except Opaque:
        return None
    return world


def _draws(adapter: type[Adapter]) -> bool:
    known = _DRAWS.get(adapter)
    if known is None:
        world = world_of(adapter)
        known = _DRAWS[adapter] = world is None or world.chance
    return known


_DRAWS: weakref.WeakKeyDictionary[type[Adapter], bool] = weakref.WeakKeyDictionary()


def _same_chance(adapter: type[Adapter]) -> contextlib.AbstractContextManager[None]:
    """Let an implementation that uses ``random`` draw the same numbers in every run."""
    return _seeded() if _draws(adapter) else _AS_IT_IS


_AS_IT_IS = contextlib.nullcontext()


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    before = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(before)
