"""What one agent does: its calls one after the other, as a task of the loop, and what is told of them on the way.

A library that makes the calls itself (``call``) is only watched: the request that arrives at the provider, and what
the account says between two steps, show what it does. By hand a call is admitted, sent and settled operation by
operation; those that are ``async def`` are awaited first, and told with the answer that came.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, cast

from capsound.accounts import RESOLVED, HoldState
from capsound.adapter import Answer, Gate, Kind, classify
from capsound.errors import CapsoundError
from capsound.events import Cancel, Release, Timeout
from capsound_checker.programs.asking import ProviderError, is_of_harness, is_slip
from capsound_checker.programs.evidence import contend, gate_evidence, sees_every_await
from capsound_checker.programs.library_calls import LibraryCalls
from capsound_checker.programs.operations import Operations
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import Handler, LibraryCall, Observed, hold_id
from capsound_checker.schedules.agents import Call
from capsound_checker.schedules.eventloop import NeedsRealLoop
from capsound_checker.schedules.questions import UnlimitedAsker
from capsound_checker.schedules.runstate import Agent, Request, RunState

TELLING = {"settle": "settle", "record": "settle", "forfeit": "forfeit"}
"""The operations by which an agent tells the library what became of a call, and the step that stands for each."""


class ProviderTimeout(ProviderError, TimeoutError):
    """The provider did not answer in time; it has billed the call all the same."""


class LoopTasks:
    """The tasks of the agents of a run."""

    __slots__ = (
        "_asker",
        "_carry_out",
        "_evidence",
        "_library_calls",
        "_observe",
        "_observed",
        "_operations",
        "_record",
        "_run",
    )

    def __init__(self, run: RunState, asker: UnlimitedAsker, observe: Callable[[], None]) -> None:
        self._run = run
        self._record = record = run.record
        self._asker = asker
        self._observed = asker.observed
        self._observe = observe
        self._carry_out = record.carry_out
        self._evidence = gate_evidence(type(record.adapter))
        self._operations = Operations(record, asker)
        self._library_calls = LibraryCalls(record, asker)

    def do(self, handler: Handler, step: Step) -> None:
        """Do one step, unless the run is over."""
        if not self._record.spoiled:
            self._carry_out(step, handler, self._observe)

    def open(self, cap: int) -> None:
        """Open the root."""
        self.do(self._operations.open, Step("open", amount=cap))

    def delegate(self, amount: int) -> bool:
        """Delegate account 1 from the root; return whether that was granted."""
        self.do(self._operations.delegate, Step("delegate", 0, 0, 1, amount))
        return 1 in self._record.scopes

    def tell_abandoned(self) -> None:
        """Tell of the holds that nobody will ever give back."""
        self._library_calls.tell_abandoned()

    # ----------------------------------------------------------------------------------- an agent's life

    async def live(self, agent: Agent) -> None:
        """Make the calls of an agent."""
        run = self._run
        try:
            for call in agent.calls:
                agent.next_call += 1
                agent.cancelled = False  # if it was, the library has kept that to itself
                agent.hold = run.calls_begun
                run.calls_begun += 1
                agent.holds.append(agent.hold)
                run.narrate(agent, f"calls for {call.estimate}")
                if self._record.adapter.gate is Gate.CALL:
                    await self._by_library(agent, call, agent.hold)
                else:
                    await self._by_hand(agent, call, agent.hold)
                if self._record.spoiled:
                    return
        except asyncio.CancelledError:
            pass
        except CapsoundError as error:
            run.failed = run.failed or error
        finally:
            agent.ended, agent.awaits, agent.library_call = True, None, None
            run.living -= 1
            run.least_available.pop(agent.number, None)
        self._close_slice(agent)

    def _close_slice(self, agent: Agent) -> None:
        """Close the slice when the last of those who work on it has ended."""
        run, record = self._run, self._record
        sliced = run.agents[: run.program.sliced]
        if agent in sliced and all(a.ended for a in sliced) and "close" in record.offers and not record.spoiled:
            try:
                run.narrate(agent, "closes the slice")
                self.do(self._operations.close, Step("close", agent.number, agent.account))
            except CapsoundError as error:
                run.failed = run.failed or error

    async def _at_provider(self, agent: Agent, call: Call, hold: int, made: LibraryCall | None) -> int:
        """Wait at the provider until the schedule says that its answer comes."""
        run = self._run
        future: asyncio.Future[int] = run.loop.create_future()
        request = Request(agent, call, hold, future)
        run.requests.append(request)
        run.idle_moves = 0
        try:
            bill = await future
        except asyncio.CancelledError:
            if made is not None and made.outcome in ("", "reply") and not agent.cancelled:
                self._record.tell(Timeout(made.call_id))  # the library gave up, perhaps just as the reply came
                made.outcome = "fail"
            raise
        finally:
            if request in run.requests:
                run.requests.remove(request)
            if made is not None and made.place == "at provider":
                made.place = "returning"
        if made is not None:
            made.told += bill
        return bill

    # ------------------------------------------------------------------------- calls made by the library

    async def _by_library(self, agent: Agent, call: Call, hold: int) -> None:
        """Let the library make a call; what it lets out is judged where the call ends."""
        run, record = self._run, self._record
        account = agent.account
        run.observed_before_step = observed = self._observed(account)
        made = LibraryCall(
            hold,
            account,
            agent.number,
            call.estimate,
            call.bill,
            coroutine=None,  # the loop drives it
            observed_at_begin=observed,
            observed_at_step=observed,
            hold_id=hold_id(hold),
        )
        record.calls[hold] = agent.library_call = made
        evidence = self._evidence
        evidence.begin(made, record)
        assert agent.task is not None
        run.call_of_task[agent.task] = made
        run.least_available[agent.number] = run.available(account)

        async def provider() -> int:
            straight = not made.suspended and made.place == "waiting"
            evidence.uninterruptible += straight and sees_every_await(record.adapter)
            self._library_calls.reached_provider(made)
            if record.spoiled:
                return made.bill
            return await self._at_provider(agent, call, hold, made)

        try:
            await record.adapter.call(record.scopes[account], call.estimate, provider)
        except (KeyboardInterrupt, NeedsRealLoop, GeneratorExit):
            raise
        except BaseException as raised:
            answer = classify(record.adapter, alone := _alone(raised))
            ours = is_of_harness(alone) or isinstance(alone, TimeoutError)
            if answer.kind is Kind.FAILED and ours and not is_slip(record.adapter, alone):
                answer = Answer(Kind.DONE)
            if isinstance(alone, TimeoutError) and record.pending(made) and answer.kind is Kind.DONE:
                made.outcome = made.outcome or "cancel"  # it waited too long for its turn: that is no refusal
            # With its traceback it keeps alive this frame, which knows it, and often one of the library which does.
            alone.__traceback__ = None
            del alone
            self._call_ended(made, answer)
            if isinstance(raised, asyncio.CancelledError) and agent.cancelled:
                raise
        else:
            self._call_ended(made, _DONE)
        finally:
            agent.library_call = None
            run.least_available.pop(agent.number, None)

    def _call_ended(self, made: LibraryCall, answer: Answer) -> None:
        """Tell that a call has ended, and what became of its hold in all the steps since its fate was known."""
        run = self._run
        if self._record.spoiled:
            return
        run.timed_out = run.timed_out or answer.kind is Kind.HUNG
        if not made.outcome and made.place == "returning":
            made.outcome = "fail"  # its library gave up waiting for the provider
        before = self._before_moves(made)
        place = made.place
        self._library_calls.ended(made, before, answer)
        if place in ("at provider", "returning") and answer.kind is Kind.REFUSED:
            run.least_available.pop(made.agent, None)
        run.observed_before_step = self._observed(made.account)
        run.moved_by_call.pop(made.hold, None)

    def _before_moves(self, made: LibraryCall) -> Observed:
        """Return what the account would have said before all that the call has moved since its fate was known."""
        now, then = self._observed(made.account), self._run.observed_before_step
        moved = self._run.moved_by_call.get(made.hold, [0, 0])
        spent = None if then[0] is None else then[0] - moved[0]
        remaining = None if then[2] is None else then[2] - moved[1]
        return spent, now[1], remaining

    def call_stepped(self, made: LibraryCall) -> None:
        """Tell what a step has shown of a call: that it was admitted, or what became of its hold."""
        run = self._run
        now = self._asker.observed_between_steps(made.account)
        then = run.observed_before_step
        if made.place == "waiting" and not made.outcome:
            self._library_calls.admitted(made, then)
        known = self._record.monitor.state.holds.get(made.hold_id)
        if not made.outcome or known is None or known.state in RESOLVED or made.place == "at provider":
            return
        moved = run.moved_by_call.setdefault(made.hold, [0, 0])
        spent = 0 if now[0] is None or then[0] is None else now[0] - then[0]
        remaining = 0 if now[2] is None or then[2] is None else now[2] - then[2]
        if not spent and not remaining:
            return
        before = self._before_moves(made)
        event = self._library_calls.resolution(made, before, now)
        if event:
            self._record.say(*event)
        moved[0] += spent
        moved[1] += remaining

    # -------------------------------------------------------------------------------------- calls by hand

    async def _by_hand(self, agent: Agent, call: Call, hold: int) -> None:
        """Admit a call, send it, and tell the library what it cost."""
        run, record, asker = self._run, self._record, self._asker
        gate, account = record.adapter.gate, agent.account
        run.least_available[agent.number] = run.available(account)
        if gate is not Gate.RECORD:
            await self._await(agent, gate.value, (record.scopes[account], call.estimate), call.estimate)
        if hold in record.handles:
            self._admission_answered(hold)
        else:
            seen = run.least_available.get(agent.number, 0)
            done = asker.awaited_answer is not None and asker.awaited_answer.kind is Kind.DONE
            if done and seen != run.available(account):
                now, then = self._observed(account)[2], agent.observed[2]
                just = now is not None and then is not None and then - now >= call.estimate
                record.spoiled = gate is not Gate.CHECK and not just  # nobody has seen when it was admitted
            self.do(self._operations.reserve, Step("reserve", agent.number, account, hold, call.estimate))
        asker.awaited_answer = None
        run.least_available.pop(agent.number, None)
        if record.spoiled or hold not in record.handles:
            return
        if record.state.hold(hold_id(hold)).state is not HoldState.HELD:
            return
        if "sent" in record.offers:
            await self._await(agent, "sent", (record.handles[hold],), 0)
        self.do(self._operations.send, Step("send", agent.number, hold, bill=call.bill))
        asker.awaited_answer = None
        request = record.last_request
        if record.spoiled or record.state.hold(hold_id(hold)).state is not HoldState.SENT:
            return
        try:
            await self._at_provider(agent, call, hold, None)
        except asyncio.CancelledError:
            record.tell(Cancel(hold_id(hold)))
            await self._end_without_bill(agent, hold)
            raise
        except ProviderError:
            record.tell(Timeout(request))
            await self._end_without_bill(agent, hold)
            return
        await self._end(agent, hold, "settle")

    async def _end_without_bill(self, agent: Agent, hold: int) -> None:
        """Write off what has no bill; where that is not offered, the bill is told late."""
        if self._record.adapter.gate is Gate.RESERVE:
            if "forfeit" in self._record.offers:
                await self._end(agent, hold, "forfeit")
            return
        await self._end(agent, hold, "settle")

    async def _end(self, agent: Agent, hold: int, step: str) -> None:
        record = self._record
        known = record.state.hold(hold_id(hold))
        operation, args = step, cast("tuple[Any, ...]", (record.handles[hold], known.billed))
        if step == "forfeit":
            args = args[:1]
        elif record.adapter.gate in (Gate.CHECK, Gate.RECORD):
            operation, args = "record", (record.scopes[agent.account], known.billed)
        if operation in record.offers:
            agent.hold = hold
            await self._await(agent, operation, args, 0)
        if hold in record.handles and record.state.hold(hold_id(hold)).state not in RESOLVED:
            self._resolve(agent, hold, step)
        self._asker.awaited_answer = None

    def _resolve(self, agent: Agent, hold: int, step: str) -> None:
        handler = self._operations.forfeit if step == "forfeit" else self._operations.settle
        self.do(handler, Step(step, agent.number, hold))

    def _admission_answered(self, hold: int) -> None:
        """Take the answer to an admission that was seen and told before it came."""
        answer, self._asker.awaited_answer = self._asker.awaited_answer, None
        assert answer is not None
        self._record.handles[hold] = answer.value
        if answer.kind is not Kind.DONE:
            self._record.tell(Release(hold_id(hold)))

    async def _await(self, agent: Agent, operation: str, args: tuple[Any, ...], amount: int) -> None:
        """Await an operation that is ``async def``, and keep its answer for the step that tells of it."""
        adapter = self._record.adapter
        method = getattr(adapter, operation)
        if not inspect.iscoroutinefunction(method):
            return
        at_gate = operation == adapter.gate.value
        if at_gate:
            near = [a for a in self._run.agents if a.account == agent.account]
            waiting = [a.awaits[1] for a in near if a.awaits is not None and a.awaits[1] > 0]
            free = self._run.available(agent.account)
            self._evidence.overlapped_at_gate += contend(free, [*waiting, amount])
        agent.awaits, agent.interrupted = (operation, amount, False), False
        agent.observed = self._observed(agent.account)
        try:
            answer = Answer(Kind.DONE, await method(*args))
        except (KeyboardInterrupt, NeedsRealLoop, GeneratorExit):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and agent.cancelled:
                raise
            answer = classify(adapter, error)
        finally:
            agent.awaits = None
        straight = at_gate and not agent.interrupted
        self._evidence.uninterruptible += straight and sees_every_await(adapter)
        if answer.kind is Kind.FAILED:
            raise self._asker.unclassified(operation, answer)
        if operation == "check" and answer.kind is Kind.DONE and not answer.value:
            answer = Answer(Kind.REFUSED, why="check says no")
        self._asker.awaited_answer = answer

    def operation_suspended(self, agent: Agent) -> None:
        """Tell at once of an operation that may have moved something, and has not come back itself."""
        record, asker = self._record, self._asker
        agent.interrupted = True
        if agent.awaits is None or agent.awaits[2] or agent.hold is None or record.spoiled:
            return
        operation, amount, _ = agent.awaits
        if operation in ("reserve", "charge"):
            left, then = self._observed(agent.account)[2], agent.observed[2]
            if left is not None and then is not None and then - left >= amount > 0:
                agent.awaits = (operation, 0, True)
                asker.awaited_answer = Answer(Kind.DONE)
                step = Step("reserve", agent.number, agent.account, agent.hold, amount)
                self.do(self._operations.reserve, step)
                asker.awaited_answer = None
            return
        ending = TELLING.get(operation)
        now = self._observed(agent.account)
        blind = now[0] is None and now[2] is None
        if ending is not None and (blind or now[0] != agent.observed[0] or now[2] != agent.observed[2]):
            if blind and record.state.hold(hold_id(agent.hold)).deficit:
                record.spoiled = True  # nobody sees when the debt is there
                return
            agent.awaits = (operation, amount, True)
            asker.awaited_answer = Answer(Kind.DONE)
            self._resolve(agent, agent.hold, ending)
            asker.awaited_answer = None


_DONE = Answer(Kind.DONE)


def _alone(error: BaseException) -> BaseException:
    """Return what a task group wraps, where it is one error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
