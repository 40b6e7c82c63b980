"""The agents of one run on an event loop, the requests that they have at the provider, and where the run is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from capsound.errors import CapsoundError
from capsound_checker.programs.record import NOT_OBSERVED, LibraryCall, Observed, Record, account_id, agent_id
from capsound_checker.schedules.agents import Call, Program
from capsound_checker.schedules.eventloop import Loop


class Move(NamedTuple):
    """Something that can happen now."""

    kind: str  # step, start, reply, time, cancel
    actor: int
    at: int = 0
    """Which handle of the ready queue steps, which request is answered, or which agent begins or is cancelled."""


@dataclass(slots=True, eq=False)
class Agent:
    """One agent of a run: how far it is, and which call it makes now."""

    number: int
    calls: tuple[Call, ...]
    account: int
    kind: int
    """The same for agents that are alike: one of them is enough to begin."""
    task: asyncio.Task[Any] | None = None
    next_call: int = 0
    hold: int | None = None
    holds: list[int] = field(default_factory=list)
    library_call: LibraryCall | None = None
    cancelled: bool = False
    ended: bool = False
    interrupted: bool = False
    """Whether what it awaits was suspended before it ended."""
    observed: Observed = NOT_OBSERVED
    """What its account said before the last step in which it awaits an operation."""
    awaits: tuple[str, int, bool] | None = None
    """The operation that it awaits now: which, of how much, and whether it was told before it ended."""


@dataclass(slots=True, eq=False)
class Request:
    """One request that is at the provider."""

    agent: Agent
    call: Call
    hold: int
    future: asyncio.Future[int]


class RunState:
    """All that the parts of a run share."""

    __slots__ = (
        "agent_of_task",
        "agents",
        "call_of_task",
        "calls_begun",
        "cancels_left",
        "failed",
        "idle_moves",
        "last_actor",
        "least_available",
        "living",
        "loop",
        "moved_by_call",
        "narrative",
        "not_started",
        "observed_before_step",
        "program",
        "record",
        "requests",
        "timed_out",
        "yielding_tasks",
    )

    def __init__(self, record: Record, program: Program, loop: Loop) -> None:
        self.record = record
        self.program = program
        self.loop = loop
        self.agents: list[Agent] = []
        self.requests: list[Request] = []
        self.narrative: list[tuple[str, int, int]] = []
        """What happened, in words, and how many events and findings there were before it."""
        self.failed: CapsoundError | None = None
        self.timed_out = False
        """Whether the time limit struck: every further run would cost it again."""
        self.agent_of_task: dict[asyncio.Task[Any], Agent] = {}
        self.call_of_task: dict[asyncio.Task[Any], LibraryCall] = {}
        self.least_available: dict[int, int] = {}
        """The least that was free while each agent has been asking: a refusal may be right for that moment."""
        self.moved_by_call: dict[int, list[int]] = {}
        """Of each hold, by how much its call has moved ``spent`` and ``remaining`` since its fate was known."""
        self.observed_before_step: Observed = NOT_OBSERVED
        self.yielding_tasks: set[asyncio.Task[Any]] = set()
        """The tasks that did nothing in their last step but to let others go first."""
        self.last_actor = -1
        self.idle_moves = 0
        """How many moves were made since something other than a step of a task has happened."""
        self.calls_begun = 0
        self.cancels_left = program.cancels
        self.not_started = 0
        """How many agents have not begun."""
        self.living = 0
        """How many agents have not ended."""

    def task_created(self, task: asyncio.Task[Any]) -> None:
        """Note that a task belongs to the agent that began it, and serves the call that this agent makes."""
        parent = asyncio.current_task(self.loop)
        if parent is not None and parent in self.agent_of_task:
            self.agent_of_task[task] = self.agent_of_task[parent]
            call = self.call_of_task.get(parent)
            if call is not None:
                self.call_of_task[task] = call

    def forget(self) -> None:
        """Let go of what refers to itself, when the run is over: what it made is then dropped at once with it.

        Else every run leaves some hundred objects to the collector, which costs more than what a move does.
        """
        self.loop.on_task_created = None
        self.loop.tasks.clear()
        self.record.refusal_excused = None

    def available(self, account: int) -> int:
        """Return what is free in an account, by the books."""
        return int(self.record.monitor.state.accounts[account_id(account)].available)

    def narrate(self, agent: Agent | None, text: str) -> None:
        """Note in words what happens next."""
        who = "" if agent is None else f"{agent_id(agent.number)} "
        self.narrative.append((f"{who}{text}", len(self.record.events), len(self.record.findings)))
