"""One run of several agents of asyncio: a chooser says who goes on, and the monitor hears what is done.

Each agent is a task on a loop of ours and makes a few calls, one after the other. The harness is the provider: when
its replies come, which task runs next, whom somebody cancels and when time passes are choices. The parts: ``runstate``
(the agents and where they are), ``looptasks`` (what an agent does), ``moves`` (what can happen), ``questions`` (what
the implementation is asked), ``statekey`` (which states are one), ``schedule_story``. What is told of each
operation is what ``programs`` tells of it.
"""

from __future__ import annotations

import contextlib
import random
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

from capsound.accounts import State
from capsound.adapter import Adapter, Gate
from capsound.events import Event
from capsound.monitor import Finding, Monitor, Report
from capsound_checker.programs.exhaust import Opaque
from capsound_checker.programs.record import Record, account_id
from capsound_checker.programs.watch import Hung, limit, pulse, strikes
from capsound_checker.schedules.agents import Program
from capsound_checker.schedules.eventloop import new_loop
from capsound_checker.schedules.interleave import Chooser, Cut, Exhaustive
from capsound_checker.schedules.looptasks import LoopTasks
from capsound_checker.schedules.moves import Moves
from capsound_checker.schedules.objects import World
from capsound_checker.schedules.questions import ScheduleObserver, UnlimitedAsker, refusal_excused
from capsound_checker.schedules.remembering import Memory, RememberedRecord
from capsound_checker.schedules.runstate import Agent, Move, Request, RunState
from capsound_checker.schedules.schedule_story import schedule_story
from capsound_checker.schedules.statekey import state_key

_PATIENCE = 60
"""How many moves without any progress are made for each agent, before the agents are said to go round."""

_LONGEST = 5_000
"""How many moves a run may have."""


@dataclass(slots=True)
class Work:
    """What runs have cost: the moves in them, and one more for each. The same on any machine, busy or not."""

    steps: int = 0


class Concurrent:
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
        record = Record(adapter, Monitor()) if memory is None else RememberedRecord(adapter, memory)
        self.record = record
        self.state = run = RunState(record, program, new_loop(fifo=fifo))
        run.loop.on_task_created = run.task_created
        record.refusal_excused = refusal_excused(run)
        asker = UnlimitedAsker(record, run.loop)
        observer = ScheduleObserver(run, asker)
        self._observe = observer.observe
        self._tasks = LoopTasks(run, asker, observer.observe)
        self._moves = Moves(run, asker, self._tasks)
        self._world = world
        self._by_hand = adapter.gate is not Gate.CALL
        self._least_state: State | None = None
        """The books with which the least that was free was looked at last: agents await nothing but their calls."""
        self.steps = 0
        """How many moves were made so far: what a run costs, on any machine."""

    # ------------------------------------------------------------------------------- what a run has shown

    @property
    def events(self) -> list[Event]:
        """What was told to the monitor."""
        return self.record.events

    @property
    def findings(self) -> list[Finding]:
        """What the monitor found in them."""
        return self.record.findings

    @property
    def agents(self) -> list[Agent]:
        """The agents of the run."""
        return self.state.agents

    @property
    def timed_out(self) -> bool:
        """Whether the time limit struck: every further run would cost it again."""
        return self.state.timed_out

    def report(self) -> Report:
        """Return what the monitor says of the run."""
        return self.record.report()

    def wrong(self) -> list[Finding]:
        """Return the findings that are the implementation's fault."""
        return self.record.wrong()

    def story(self) -> str:
        """Return the run in words: what each agent did, the events, and what the monitor found."""
        return schedule_story(self.state)

    # ---------------------------------------------------------------------------------------------- the run

    def go(self, chooser: Chooser) -> Concurrent:
        """Do the program; ``chooser`` says what happens where more than one thing can.

        Raises ``Cut`` when the chooser does, ``AdapterFailed`` and ``NeedsRealLoop`` where nothing can be said of
        the implementation.
        """
        run, struck = self.state, strikes[0]
        with run.loop.running(), _same_chance(type(self.record.adapter)):
            try:
                with limit(self.record.adapter.timeout):
                    self._go(chooser)
            except Hung:
                self._stall()
            finally:
                run.timed_out = strikes[0] != struck
                failed = run.failed
                for call in self.record.calls.values():
                    call.place = "ended"
                run.loop.clean()
                run.forget()
        if failed is not None:
            raise failed
        return self

    def _begin(self) -> None:
        """Open the budget and its slice, and say who works on which."""
        run, record = self.state, self.record
        program = run.program
        self._tasks.open(program.cap)
        on = 0
        if program.slice is not None and "delegate" in record.offers:
            on = 1 if self._tasks.delegate(program.slice) else 0
        sliced = program.sliced if on else 0
        kinds: dict[object, int] = {}
        for n, calls in enumerate(program.agents):
            kind = kinds.setdefault((calls, n < sliced, n < program.sliced), n)
            run.agents.append(Agent(n, calls, on if n < sliced else 0, kind))
        run.not_started = run.living = len(run.agents)

    def _go(self, chooser: Chooser) -> None:
        run, record, possible, make = self.state, self.record, self._moves.possible, self._moves.make
        self._begin()
        key = None if self._world is None else self._key
        passed = 0
        while run.failed is None and not record.spoiled:
            moves = possible()
            if not run.living and not any(m.kind in ("step", "reply") for m in moves):
                break
            if not moves:
                if self._cancel_waiting():
                    continue
                self._stall()
                return
            choice = 0
            if len(moves) > 1:
                try:
                    choice = chooser.choose([move.actor for move in moves], key)
                except Cut:
                    if not isinstance(chooser, Exhaustive) or not chooser.cycle or not _only_repeats(moves):
                        raise
                    if not self._cancel_waiting():
                        if not self._livelocked():
                            raise
                        return
                    continue
            run.idle_moves += 1
            passed += 1
            pulse[0] += 1
            self.steps = passed
            make(moves[choice])
            if run.failed is None and not record.spoiled:
                self._update_least_available()
                self._observe()
            if run.idle_moves > _PATIENCE * len(run.agents) or passed > _LONGEST:
                if any(move.kind in ("reply", "start") for move in moves):
                    raise Cut
                if passed <= _LONGEST and self._cancel_waiting():
                    continue
                if not self._livelocked():
                    raise Cut  # somebody was kept waiting by this schedule alone
                return
        if run.failed is None and not record.spoiled:
            for request in run.requests:  # nobody strands what the provider has not answered yet
                if request.hold in record.calls:
                    record.calls[request.hold].outcome = ""
            self._tasks.tell_abandoned()

    def _key(self) -> object:
        assert self._world is not None
        return state_key(self.state, self._world)

    def _update_least_available(self) -> None:
        """Keep the least that was free while each agent has been asking: a refusal may be right for that moment."""
        run, state = self.state, self.record.monitor.state
        if not self._by_hand:
            if state is self._least_state:
                return
            self._least_state = state
        accounts = state.accounts
        for number, least in run.least_available.items():
            agent = run.agents[number]
            free: int = accounts[account_id(agent.account)].available
            if self._by_hand:
                for other in run.agents:
                    if other.awaits is not None and other is not agent:
                        free -= other.awaits[1]
            if free < least:
                run.least_available[number] = free

    def _cancel_waiting(self) -> bool:
        """Cancel the first agent whose provider never answers; return whether there is one."""
        request = self._waits_for_nothing()
        if request is None:
            return False
        self._moves.cancel(request.agent)
        return True

    def _waits_for_nothing(self) -> Request | None:
        never = (r for r in self.state.requests if r.call.ends == "never")
        return next((r for r in never if not r.agent.cancelled and not r.agent.ended), None)

    def _livelocked(self) -> bool:
        """Let agents that go round do so, in turn; return whether they hang. The run is over in any case."""
        run = self.state
        run.idle_moves = 0
        for turn in range(2 * _PATIENCE * len(run.agents)):
            moves = self._moves.possible()
            steps = [move for move in moves if move.kind == "step"]
            passes = [move for move in moves if move.kind == "time"]
            if not (steps or passes) or run.failed is not None or self.record.spoiled:
                return False
            first = min(steps, key=lambda move: move.at, default=None)
            chosen = passes[0] if passes and (first is None or turn % _PATIENCE == _PATIENCE - 1) else first
            assert chosen is not None
            ended = sum(a.ended for a in run.agents)
            self._moves.make(chosen)
            if run.requests or ended != sum(a.ended for a in run.agents):
                return False
        self._stall()
        return True

    def _stall(self) -> None:
        stuck = [agent.number for agent in self.state.agents if not agent.ended]
        if stuck and not self.record.spoiled:
            self.state.narrate(None, "nothing can happen any more")
            self.record.stall(stuck)


def _only_repeats(moves: list[Move]) -> bool:
    """Whether nobody can do anything but to look again at what has not changed."""
    return all(move.kind in ("step", "time", "cancel") for move in moves)


def run(
    adapter: type[Adapter],
    program: Program,
    chooser: Chooser,
    *,
    fifo: bool = False,
    world: World | None = None,
    memory: Memory | None = None,
    work: Work | None = None,
) -> Concurrent:
    """Do one schedule of a program. Raises ``AdapterFailed``, ``NeedsRealLoop``, and ``Cut`` when the chooser does.

    ``world`` is what states are read with, if they are to be merged; ``memory`` is shared by runs that begin alike;
    ``work`` counts what the run costs.
    """
    made = Concurrent(adapter(), program, fifo=fifo, world=world, memory=memory)
    try:
        return made.go(chooser)
    finally:
        if work is not None:
            work.steps += made.steps + 1


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
