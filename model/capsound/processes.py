"""What a machine is made of: processes, each a list of places, accounts, and the branches between places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from capsound.affine import Reuse
from capsound.costs import CallCosts
from capsound.disciplines import Block, Discipline
from capsound.scenario import MONEY, Interval, Scenario


def dead_at(place: int) -> int:
    """Return the place of a process that crashed at ``place``: below zero, so that nothing continues there."""
    return -1 - place


@dataclass(frozen=True, slots=True)
class Place:
    """One point of a process, before ``block`` is executed. Indices are into the process or the machine.

    ``phase``: ``new`` before admission, ``admitted`` before the request is sent, ``sent`` until the call is
    resolved, ``idle`` outside calls. ``refused`` is where a failed guard leads, after ``on_refuse``.

    Where accounts are ceilings, ``charged`` are all in which the call counts, and ``ledgers`` those that the block
    works on. In ``admitted_on`` the call is admitted, ``held_on`` hold something for it, but for those ``gone``, which
    let its hold go. ``twins`` says where a call goes on when more of them do, and ``main`` is the place of which this
    one is such a twin. ``elsewhere``: whether a ceiling that this machine leaves out may refuse the call here.
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
    charged: tuple[int, ...] = ()
    ledgers: tuple[int, ...] = ()
    admitted_on: tuple[int, ...] = ()
    held_on: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    twins: tuple[tuple[tuple[int, ...], int], ...] = ()
    main: int = -1
    keeps: bool = True
    elsewhere: bool = False

    @property
    def guarded(self) -> bool:
        """Whether the block can be refused."""
        return self.elsewhere or any(step.guard is not None for step in self.block)

    @property
    def tried(self) -> bool:
        """Whether a call that is not admitted yet has added its estimate to the counter."""
        return self.holds and self.phase == "new"


@dataclass(frozen=True, slots=True)
class Process:
    """An agent or the owner of a slice.

    ``entry`` is which [[agents]] or [[slices]] of the file it comes from, ``number`` which agent of that entry.
    ``alone`` is an agent that no other can stand for. ``name`` and ``group`` are for people, who may give one name
    twice. A ``clock`` is no agent: its steps are the resets of a window, and nobody waits for them.
    """

    name: str
    group: str
    places: tuple[Place, ...]
    is_agent: bool = True
    entry: int = 0
    number: int = 1
    alone: bool = False
    clock: bool = False
    done: int = field(init=False, compare=False, repr=False)
    """The place after the last one: asked of every process at every step, and so kept."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "done", len(self.places))

    @property
    def identity(self) -> tuple[bool, int, int]:
        """What tells the process from all others, in every machine of the same scenario."""
        return (self.is_agent, self.entry, self.number)

    @property
    def family(self) -> tuple[bool, int, int]:
        """The same for processes that are interchangeable, and for no others."""
        return (self.is_agent, self.entry, self.number if self.alone else 0)


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One account of the machine: ``parent`` is an index, None for the root and for ceilings.

    ``view``: which of the variables of a call are about this account (``Machine.views``).
    """

    name: str
    parent: int | None
    grant: Interval
    view: int = 0
    dimension: str = MONEY


@dataclass(frozen=True, slots=True)
class Machine:
    """Processes, accounts and faults of one scenario.

    ``alone``: each account is a ceiling, and a root of its own. ``views`` is how many sets of variables a call has: one
    for each dimension in which it is counted. The windows of the accounts in ``slides`` slide: a state has at most
    ``past`` entries of what counts in them (``capsound.sliding``). ``linked``: whether a call knows the entry that was
    made when it was admitted.
    """

    scenario: Scenario
    discipline: Discipline
    accounts: tuple[AccountInfo, ...]
    processes: tuple[Process, ...]
    cap: Interval
    reuse: Reuse | None = None
    reuse_agent: str = ""
    alone: bool = False
    views: int = 1
    slides: tuple[int, ...] = ()
    past: int = 0
    linked: bool = False

    @property
    def faults(self) -> tuple[int, int, int]:
        """How many cancellations, timeouts and crashes may be injected."""
        f = self.scenario.faults
        return (f.cancel, f.timeout, f.crash)

    @property
    def budget(self) -> tuple[int, ...]:
        """How many faults of each kind may be injected, as a state counts them: those of ``faults``, then expiries."""
        return (*self.faults, *([self.scenario.faults.expire] if self.scenario.faults.expire else []))

    @property
    def blocks(self) -> int:
        """The number of steps after which every process is done, when nothing is retried."""
        return sum(process.done for process in self.processes)

    def branches(self) -> Iterator[Branch]:
        """Yield every branch of every place of every process, in a fixed order."""
        for index, process in enumerate(self.processes):
            for at in range(len(process.places)):
                yield from self.branches_at(index, at)

    def branches_at(self, index: int, at: int) -> Iterator[Branch]:
        """Yield every branch of one place of one process."""
        cancels, timeouts, crashes = self.faults
        place = self.processes[index].places[at]
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
            if self.scenario.faults.expire and place.held_on != place.gone:
                yield Branch(index, at, "expire")


@dataclass(frozen=True, slots=True)
class Branch:
    """One way in which one process leaves one place."""

    process: int
    place: int
    kind: str
