"""Who chooses what happens next: everything in turn, chance with priorities, chance, or a list that was written down.

A run asks its chooser at every point where more than one thing can happen. The answers, small whole numbers, are
the *choices* of the run: with the same choices the same run happens again. 0 is always what the run proposes: to go
on with whoever was last.

* ``Exhaustive``: depth first; a state that was seen before is not gone through again, as far as states can be told
  apart, and at most ``bound`` proposals are declined in one run.
* ``Priorities``: probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte 2010): each actor has a
  random priority, the highest runs, and at ``depth - 1`` random points the one that runs becomes the lowest. A bug that
  needs ``depth`` orderings among n actors in k points is found with a probability of at least 1 / (n k^(depth - 1)).
* ``Chance``: every option alike.
* ``Replay``: what is written down, and the proposals from there on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from capsound.errors import EXIT_BAD_INPUT, EXIT_UNKNOWN, CapsoundError
from capsound_checker.schedules.eventloop import Deadlock, new_loop
from capsound_checker.schedules.objects import Reader, World

Choices = tuple[int, ...]
State = Callable[[], object]
"""Reads the state in which a choice is made: equal states have equal futures."""


class Cut(Exception):
    """The run need not go on: everything that can follow is known, or is beyond the bound."""


class NotRepeatable(CapsoundError):
    """The same choices led to another run: something in the implementation is left to chance, or to the clock."""

    name = "not-repeatable"
    exit_status = EXIT_UNKNOWN


class BadChoice(CapsoundError):
    """A written choice is none that the run offers."""

    name = "bad-choice"
    exit_status = EXIT_BAD_INPUT


class Chooser(Protocol):
    """What a run asks."""

    def choose(self, actors: Sequence[int], state: State | None = None) -> int:
        """Return which of the options happens; ``actors`` names who does each. May raise ``Cut``."""
        ...


class Recorder:
    """Base of the choosers: keeps what was chosen."""

    def __init__(self) -> None:
        self.made: list[int] = []

    @property
    def choices(self) -> Choices:
        """The choices so far, without the proposals at the end that were taken anyway."""
        return trimmed(self.made)

    def choose(self, actors: Sequence[int], state: State | None = None) -> int:  # noqa: ARG002
        """Return which of the options happens; the state is of no interest to chance."""
        choice = self._one(actors)
        self.made.append(choice)
        return choice

    def pick(self, count: int) -> int:
        """Choose among ``count`` options of different actors: for ``Loop.drive``."""
        return self.choose(range(count))

    def _one(self, actors: Sequence[int]) -> int:
        raise NotImplementedError


def trimmed(choices: Sequence[int]) -> Choices:
    """Return choices without the zeros at the end: they are proposals, and are taken all the same."""
    length = len(choices)
    while length and choices[length - 1] == 0:
        length -= 1
    return tuple(choices[:length])


class Replay(Recorder):
    """Does what is written down, then what the run proposes."""

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__()
        self.written = tuple(choices)

    def _one(self, actors: Sequence[int]) -> int:
        at = len(self.made)
        choice = self.written[at] if at < len(self.written) else 0
        if not 0 <= choice < len(actors):
            raise BadChoice(
                f"choice {at + 1} is {choice}, where the run offers 0 to {len(actors) - 1}",
                cause="the choices belong to another program, another version of the implementation or another loop",
                hint="run the check again",
            )
        return choice


class Chance(Recorder):
    """Takes every option alike."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    def _one(self, actors: Sequence[int]) -> int:
        return self._random.randrange(len(actors))


class Priorities(Recorder):
    """Runs the actor with the highest priority, and lowers it at ``depth - 1`` of ``length`` points."""

    def __init__(self, seed: int, depth: int, length: int) -> None:
        super().__init__()
        self._random = random.Random(seed)
        length = max(1, length)
        self._lowered = {
            point: low for low, point in enumerate(self._random.choices(range(length), k=max(0, depth - 1)))
        }
        self._depth = depth
        self._rank: dict[int, float] = {}

    def _one(self, actors: Sequence[int]) -> int:
        for actor in sorted(set(actors)):
            if actor not in self._rank:
                self._rank[actor] = self._depth + self._random.random()
        best = max(range(len(actors)), key=lambda at: (self._rank[actors[at]], -at))
        low = self._lowered.get(len(self.made))
        if low is not None:
            self._rank[actors[best]] = low
            best = max(range(len(actors)), key=lambda at: (self._rank[actors[at]], -at))
        return best


class Exhaustive(Recorder):
    """Goes through all runs, depth first; call ``again`` after each, until it says that there is no more.

    ``bound`` limits how many proposals are declined in one run. ``merge`` says whether a state that was seen before
    is left out; where no state is given, every run is run.
    """

    def __init__(self, *, bound: int | None = None, merge: bool = True) -> None:
        super().__init__()
        self.bound = bound
        self.merge = merge
        self.bounded = False
        self.states = 0
        self._prefix: list[int] = []
        self._counts: list[int] = []
        self._seen: dict[bytes, int] = {}
        self._path: list[bytes | None] = []
        self.cycle = False
        """Whether the state at which the last run was cut had come up in that run before."""

    def choose(self, actors: Sequence[int], state: State | None = None) -> int:
        """Return which option happens. Raises ``Cut`` at a state that was seen, ``NotRepeatable`` at a surprise."""
        at = len(self.made)
        count = len(actors)
        if at < len(self._prefix):
            choice = self._prefix[at]
            if choice >= count or (at < len(self._counts) and self._counts[at] != count):
                raise NotRepeatable(
                    f"choice {at + 1} was among {self._counts[at]}, and is now among {count}",
                    cause="the same choices did not lead to the same run",
                    hint="look for random numbers, the clock, or state that outlives a budget",
                )
        else:
            if self.merge and state is not None:
                self._visit(state)
            else:
                self._path.append(None)
            choice = 0
            self._counts.append(count)
        self.made.append(choice)
        return choice

    def _visit(self, state: State) -> None:
        key = hashlib.blake2b(repr(state()).encode(), digest_size=16).digest()
        left = -1 if self.bound is None else self.bound - self._declined()
        known = self._seen.get(key)
        if known is not None and (self.bound is None or known >= left):
            self.cycle = key in self._path
            raise Cut
        if known is None:
            self.states += 1
        self._seen[key] = left
        self._path.append(key)

    def _declined(self) -> int:
        return sum(1 for choice in self.made if choice)

    def again(self) -> bool:
        """Make ready for the next run; return whether there is one."""
        at = len(self.made) - 1
        declined = self._declined()
        while at >= 0:
            choice, declined = self.made[at], declined - (1 if self.made[at] else 0)
            if choice + 1 < self._counts[at]:
                if self.bound is None or declined < self.bound:
                    break
                self.bounded = True
            at -= 1
        if at < 0:
            return False
        self._prefix = [*self.made[:at], self.made[at] + 1]
        del self._counts[at + 1 :], self._path[at + 1 :]
        self.made = []
        self.cycle = False
        return True


@dataclass(frozen=True, slots=True)
class Covered:
    """How far a search went: how many runs, how many states apart, and whether these were all."""

    schedules: int
    states: int
    complete: bool
    merged: bool
    why: str = ""


def every(
    run: Callable[[Chooser], Any],
    *,
    seconds: float | None = None,
    schedules: int | None = None,
    bound: int | None = None,
    merge: bool = True,
    enough: Callable[[], str] = lambda: "",
) -> Iterator[tuple[Choices, Any, Covered]]:
    """Run every schedule once, depth first; yield the choices, what ``run`` returned, and how far this is.

    ``run`` is called with a chooser, and may let ``Cut`` out. Ends when all were run, when ``seconds`` or
    ``schedules`` are used up, or when ``enough`` gives a reason; the last ``Covered`` says which.
    """
    chooser = Exhaustive(bound=bound, merge=merge)
    end = None if seconds is None else monotonic() + seconds
    count = 0
    while True:
        result = None
        with contextlib.suppress(Cut):
            result = run(chooser)
        count += 1
        choices = chooser.choices
        more = chooser.again()
        why = ""
        if more and schedules is not None and count >= schedules:
            why = f"stopped after {count} schedules"
        elif more and end is not None and monotonic() >= end:
            why = "the time was used up"
        elif more and (told := enough()):
            why = told
        elif not more and chooser.bounded:
            why = f"at most {bound} changes of agent in a run"
        yield choices, result, Covered(count, chooser.states, not more and not why, merge, why)
        if not more or why:
            return


def coroutines(
    make: Callable[[], tuple[Any, Sequence[Coroutine[Any, Any, Any]]]],
    *,
    merge: bool = True,
    alike: bool = False,
    bound: int | None = None,
    schedules: int | None = None,
    seconds: float | None = None,
) -> Iterator[tuple[Choices, Any, Covered]]:
    """Run coroutines as tasks that share an object, in every order of their steps; yield the object after each run.

    ``make`` returns the object and the coroutines, new ones each time; beside that object they share nothing. With
    ``alike`` the coroutines are the same code with the same arguments: states that differ only in which is which are
    one state. Raises ``Opaque`` where states cannot be read, ``Deadlock``, and what a coroutine raises.
    """
    world = World()

    def run(chooser: Chooser) -> Any:
        shared, bodies = make()
        loop = new_loop()
        with loop.running():
            try:
                tasks = [loop.create_task(body) for body in bodies]

                def state() -> object:
                    return _state(Reader(world, loop), shared, tasks, alike=alike)

                while not all(task.done() for task in tasks):
                    if not loop.ready:
                        if not loop.advance():
                            raise Deadlock("no task can run and no timer is set")
                        continue
                    actors = [tasks.index(h.task) if h.task in tasks else len(tasks) for h in loop.ready]
                    at = chooser.choose(actors, state if merge else None) if len(actors) > 1 else 0
                    loop.take(at)
                for task in tasks:
                    task.result()
                return shared
            finally:
                loop.clean()

    yield from every(run, seconds=seconds, schedules=schedules, bound=bound, merge=merge)


def _state(reader: Reader, shared: Any, tasks: list[asyncio.Task[Any]], *, alike: bool) -> object:
    assert reader.loop is not None
    loop = reader.loop
    ready = {id(handle.task): handle for handle in loop.ready}

    def part(by: Reader, task: asyncio.Task[Any]) -> object:
        return by.read(task), by.read(ready.get(id(task)))

    outside = (reader.read(shared), reader.variables())
    if alike:
        tasks = sorted(tasks, key=lambda task: repr(part(reader.fork(), task)))
    parts = [part(reader, task) for task in tasks]
    others = [reader.read(task) for task in loop.tasks if not task.done() and task not in tasks]
    timers = [reader.read(handle) for _, _, handle in sorted(loop.timers, key=lambda timer: timer[:2])]
    return outside, parts, others, timers
