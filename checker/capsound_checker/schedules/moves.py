"""What can happen now in a run, and making it happen: a task goes on, an answer comes, time passes or one cancels."""

from __future__ import annotations

from operator import attrgetter

from capsound.events import Cancel, Timeout
from capsound_checker.programs.asking import ProviderError
from capsound_checker.schedules.eventloop import yields
from capsound_checker.schedules.looptasks import TELLING, LoopTasks, ProviderTimeout
from capsound_checker.schedules.questions import UnlimitedAsker
from capsound_checker.schedules.runstate import Agent, Move, Request, RunState

_ACTOR = attrgetter("actor")

_CANCEL = 1_000
_TIME = 2_000
"""Numbers of actors that are no agents: who cancels (one for each agent), and time."""


class Moves:
    """The moves of one run."""

    __slots__ = ("_asker", "_loop", "_record", "_run", "_tasks")

    def __init__(self, run: RunState, asker: UnlimitedAsker, tasks: LoopTasks) -> None:
        self._run = run
        self._record = run.record
        self._loop = run.loop
        self._asker = asker
        self._tasks = tasks

    def possible(self) -> list[Move]:
        """Return what can happen now, what is proposed first."""
        run, loop = self._run, self._loop
        agent_of_task, yielding_tasks = run.agent_of_task, run.yielding_tasks
        first: list[Move] = []
        yielding: list[Move] = []
        if not loop.ready:
            pass
        elif loop.fifo:
            task = loop.ready[0].task
            owner = agent_of_task.get(task) if task is not None else None
            idles = all(yields(h) and h.task in yielding_tasks for h in loop.ready)
            (yielding if idles else first).append(Move("step", -1 if owner is None else owner.number))
        else:
            for at, handle in enumerate(loop.ready):
                owner = agent_of_task.get(handle.task)  # type: ignore[arg-type]
                idles = handle.task in yielding_tasks and yields(handle)
                (yielding if idles else first).append(Move("step", -1 if owner is None else owner.number, at))
        idle = not first  # time does not pass while somebody has something to do
        for at, request in enumerate(run.requests):
            if request.call.ends != "never" and not request.future.done():
                first.append(Move("reply", request.agent.number, at))
        if run.not_started:
            offered: set[object] = set()
            for agent in run.agents:
                if agent.task is None and agent.kind not in offered:
                    offered.add(agent.kind)
                    first.append(Move("start", agent.number, agent.number))
        if len(first) > 1 and not loop.fifo:
            first.sort(key=_ACTOR)
            last = run.last_actor
            if first[0].actor != last and (mine := [move for move in first if move.actor == last]):
                first = [*mine, *(move for move in first if move.actor != last)]
        if idle and loop.timers and loop.next_timer() is not None:
            alive = bool(first or yielding) or any(not a.ended for a in run.agents)
            if alive:
                first.append(Move("time", _TIME))
        if yielding:
            first += yielding
        if run.cancels_left and first:
            for agent in run.agents:
                telling = agent.awaits is not None and agent.awaits[0] in TELLING  # it sees to it that this is told
                if agent.next_call and not agent.ended and not agent.cancelled and not telling:
                    first.append(Move("cancel", _CANCEL + agent.number, agent.number))
        return first

    def make(self, move: Move) -> None:
        """Make a move."""
        run = self._run
        if move.kind == "step":
            self._step(move.at)
        elif move.kind == "start":
            agent = run.agents[move.at]
            run.not_started -= 1
            agent.task = self._loop.create_task(self._tasks.live(agent))
            run.agent_of_task[agent.task] = agent
            run.idle_moves = 0
            if not self._loop.fifo:
                self._step(len(self._loop.ready) - 1)
        elif move.kind == "reply":
            self._reply(run.requests[move.at])
        elif move.kind == "cancel":
            run.cancels_left -= 1
            self.cancel(run.agents[move.at])
        else:
            run.narrate(None, f"time passes, to {self._loop.next_timer():g} s")
            self._loop.advance()
        run.last_actor = move.actor if move.actor < _CANCEL else run.last_actor

    def _reply(self, request: Request) -> None:
        """Let the answer of the provider come."""
        run, loop = self._run, self._loop
        agent, call = request.agent, request.call
        run.idle_moves = 0
        made = self._record.calls.get(request.hold)
        if call.ends == "reply":
            run.narrate(agent, f"gets its reply, billed {call.bill}")
            if made is not None and made.outcome not in ("cancel", "crash"):
                made.outcome = "reply"
            request.future.set_result(call.bill)
        else:
            error = ProviderError if call.ends == "error" else ProviderTimeout
            what = "an error" if call.ends == "error" else "no reply in time"
            run.narrate(agent, f"gets {what}, billed {call.bill}")
            if made is not None:
                self._record.tell(Timeout(made.call_id))
                if made.outcome not in ("cancel", "crash"):
                    made.outcome = "fail"
            request.future.set_exception(error(f"the provider: {call.ends}"))
        if made is not None:
            made.place = "returning"
        loop.flush()
        if not loop.fifo and not run.cancels_left:
            for at, handle in enumerate(loop.ready):
                if handle.args and handle.args[0] is request.future:  # nobody but the waiter can tell it from waiting
                    self._step(at)
                    break

    def cancel(self, agent: Agent) -> None:
        """Cancel the task of an agent."""
        run = self._run
        assert agent.task is not None
        run.idle_moves = 0
        agent.cancelled = True
        run.narrate(agent, "is cancelled")
        made = agent.library_call
        if made is not None and made.place != "ended":
            made.outcome = "cancel"
            if not self._record.pending(made):
                self._record.tell(Cancel(made.hold_id))
            if made.place == "at provider":
                made.place = "returning"
        agent.task.cancel("the caller gave up")
        self._loop.flush()

    def _step(self, at: int) -> None:
        """Run one handle, and tell what can be seen of it."""
        run, record, loop, asker = self._run, self._record, self._loop, self._asker
        task = loop.ready[at].task
        agent = run.agent_of_task.get(task) if task is not None else None
        made = run.call_of_task.get(task) if task is not None else None
        if agent is not None and agent.awaits is not None and not record.spoiled:
            agent.observed = asker.observed_between_steps(agent.account)
        if made is not None and not record.spoiled:
            run.observed_before_step = made.observed_at_step = asker.observed_between_steps(made.account)
        asker.forget()
        loop.take(at)
        asker.forget()
        if loop.needs is not None and run.failed is None:
            run.failed = loop.needs
        if agent is None or run.failed is not None or record.spoiled:
            return
        assert task is not None
        made = run.call_of_task.get(task)
        if made is not None:
            self._tasks.call_stepped(made)
        self._tasks.operation_suspended(agent)
        run.yielding_tasks.discard(task)
        if task.done():
            run.idle_moves = 0
            return
        for waiting in loop.ready:
            if waiting.task is task and yields(waiting):
                run.yielding_tasks.add(task)
