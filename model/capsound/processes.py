"""What a machine is made of: processes, each a list of places, accounts, and the branches between places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capsound.affine import Reuse
from capsound.costs import CallCosts
from capsound.disciplines import Block, Discipline
from capsound.scenario import Interval, Scenario


def dead_at(place: int) -> int:
    """Return the place of a process that crashed at ``place``: below zero, so that nothing continues there."""
    return -1 - place


@dataclass(frozen=True, slots=True)
class Place:
    """One point of a process, before ``block`` is executed. Indices are into the process or the machine.

    ``phase``: ``new`` before admission, ``admitted`` before the request is sent, ``sent`` until the call is
    resolved, ``idle`` outside calls. ``refused`` is where a failed guard leads, after ``on_refuse``.
    """

    kind: str
    block: Block
    account: int
    next: int
    refused: int
    phase: str = "idle"
    holds: bool = False
    label: str = ""
    costs: CallCosts | None = None
    draws_size: bool = False
    on_refuse: Block = ()
    aborts: bool = False
    silent: bool = False
    end: int = 0
    start: int = 0
    send: int = 0
    parent: int = 0
    grant: Interval = Interval(0, 0)
    waits_open: bool = True
    after: tuple[int, ...] = ()
    chunks_left: int = 0
    number: int = 0

    @property
    def guarded(self) -> bool:
        """Whether the block can be refused."""
        return any(step.guard is not None for step in self.block)


@dataclass(frozen=True, slots=True)
class Process:
    """An agent or the owner of a slice.

    ``entry`` is which [[agents]] or [[slices]] of the file it comes from, ``number`` which agent of that entry.
    ``alone`` is an agent that no other can stand for. ``name`` and ``group`` are for people, who may give one name
    twice.
    """

    name: str
    group: str
    places: tuple[Place, ...]
    is_agent: bool = True
    entry: int = 0
    number: int = 1
    alone: bool = False

    @property
    def identity(self) -> tuple[bool, int, int]:
        """What tells the process from all others, in every machine of the same scenario."""
        return (self.is_agent, self.entry, self.number)

    @property
    def family(self) -> tuple[bool, int, int]:
        """The same for processes that are interchangeable, and for no others."""
        return (self.is_agent, self.entry, self.number if self.alone else 0)

    @property
    def done(self) -> int:
        """The place after the last one."""
        return len(self.places)


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One account of the machine: ``parent`` is an index, None for the root."""

    name: str
    parent: int | None
    grant: Interval


@dataclass(frozen=True, slots=True)
class Machine:
    """Processes, accounts and faults of one scenario."""

    scenario: Scenario
    discipline: Discipline
    accounts: tuple[AccountInfo, ...]
    processes: tuple[Process, ...]
    cap: Interval
    reuse: Reuse | None = None
    reuse_agent: str = ""

    @property
    def faults(self) -> tuple[int, int, int]:
        """How many cancellations, timeouts and crashes may be injected."""
        f = self.scenario.faults
        return (f.cancel, f.timeout, f.crash)

    @property
    def blocks(self) -> int:
        """The number of steps after which every process is done, when nothing is retried."""
        return sum(process.done for process in self.processes)

    def branches(self) -> Iterator[Branch]:
        """Yield every branch of every place of every process, in a fixed order."""
        cancels, timeouts, crashes = self.faults
        for index, process in enumerate(self.processes):
            for at, place in enumerate(process.places):
                yield Branch(index, at, "run")
                if place.guarded:
                    yield Branch(index, at, "refuse")
                if place.kind == "call":
                    begun = place.phase != "new" or not place.draws_size
                    if cancels and place.phase in ("admitted", "sent"):
                        yield Branch(index, at, "cancel")
                    if timeouts and place.phase == "sent":
                        yield Branch(index, at, "timeout")
                    if crashes and begun:
                        yield Branch(index, at, "crash")


@dataclass(frozen=True, slots=True)
class Branch:
    """One way in which one process leaves one place."""

    process: int
    place: int
    kind: str
