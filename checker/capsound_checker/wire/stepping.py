"""Going on from choice to choice: wait until nobody can do anything but wait, choose, do it, and wait again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from capsound_checker.wire import connections, idle, timers
from capsound_checker.wire.acting import Acting, Did, in_order
from capsound_checker.wire.application import Application
from capsound_checker.wire.held import BLIND, ELSEWHERE, Held
from capsound_checker.wire.schedule import Choice, Schedule

if TYPE_CHECKING:  # what runs inside needs no server, and its import takes long
    from capsound_checker.wire.provider import Provider

_STALLED, _ALONE = 0.05, 1.0
_SOON, _TICKS, _IN_VAIN = 0.15, 0.6, 3
_BLIND = 0.25
_RARE = 0.01
"""How many seconds lie between two looks at a program that has been at work for some time, as while it starts."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far one run may go."""

    requests: int = 200
    """How many requests are answered before the application is stopped."""
    patience: float = 10.0
    """How many seconds it may do nothing, while nothing is asked of us."""
    quiet: float = 0.0
    """How many seconds of quiet are waited for beside what /proc shows."""
    elsewhere: bool = False
    """Whether connections to other hosts cost nothing, so that they are no doubt."""

    @property
    def work(self) -> float:
        """How many seconds it may be busy, while nothing is asked of us."""
        return 6 * self.patience


@dataclass(frozen=True, slots=True)
class Run:
    """What one schedule showed."""

    schedule: Schedule
    did: tuple[Did, ...]
    choices: tuple[tuple[Choice, tuple[str, ...]], ...]
    """What was chosen at each step, and the names of those that were held then."""
    ended: str
    """``exit``, ``signal``, ``hung``, ``busy``, ``requests``, ``stopped``."""
    status: int
    printed: tuple[str, ...]
    strange: Mapping[str, tuple[int, str]]
    followed: bool = True
    """Whether each step of the schedule could be done as it was said."""
    unmatched: int = 0
    """How many requests got the default reply."""


@dataclass
class Stepping:
    """A run in progress of something that was started."""

    application: Application
    provider: Provider
    schedule: Schedule
    acting: Acting
    limits: Limits
    until: float = float("inf")
    """A time of ``time.monotonic``."""
    followed: bool = True
    in_vain: int = 0
    """How often in a row a timer that was about to ring was waited for, and nothing came."""

    def over(self, processes: Sequence[int]) -> bool:
        """Whether there is nobody left who could send something; ``processes`` are those that live."""
        return self.application.status is not None and not processes

    def leave(self, held: Held) -> None:
        """Let the client of a request leave, where it is ours."""
        raise NotImplementedError

    def arrived(self, held: Held) -> None:
        """Take a request that has arrived."""
        self.acting.held.append(held)
        self.acting.arrived(held)

    def at_rest(self) -> None:
        """Do what is best done while everybody waits, before each choice."""

    async def steps(self) -> str:
        """Choose until all is over; return how it ended: see ``Run``."""
        acting = self.acting
        while True:
            how = await self._rest()
            if how != "idle":
                return how
            offered = acting.offered()
            if not offered:
                if acting.give_up_waiting():
                    continue
                return "hung"
            self._look_elsewhere()
            if len(acting.choices) >= self.limits.requests:
                return "requests"
            self.at_rest()
            held = tuple(sorted(one.label for one in offered))
            choice, followed = self.schedule.choose(len(acting.choices), held)
            self.followed = self.followed and followed
            acting.choices.append((choice, held))
            self.provider.activity += 1
            chosen = next(one for one in offered if one.label == choice.label)
            if choice.act == "cancel":
                acting.did.append(Did("leaves", choice.label, "cancel", chosen.number, segment=len(acting.choices)))
                self.leave(chosen)
            else:
                acting.do(choice, chosen)

    def result(self, ended: str, status: int = 0) -> Run:
        """Return what the run has shown; ``ended`` is how, as in ``Run``."""
        acting = self.acting
        return Run(
            self.schedule,
            in_order(acting.did),
            tuple(acting.choices),
            ended,
            status,
            tuple(self.application.printed),
            self.provider.strange.of_run(),
            self.followed,
            acting.progress.unmatched,
        )

    def _look_elsewhere(self) -> None:
        """Note connections to other hosts: what is asked there, and what it costs, is not seen."""
        strange = self.provider.strange
        if self.limits.elsewhere or ELSEWHERE in strange.counts:
            return
        for address in connections.outside(idle.tree(self.application.processes()))[:1]:
            strange.add(ELSEWHERE, f"to {address}, where nothing is seen; --elsewhere says that it costs nothing")

    async def _rest(self) -> str:
        """Wait until nobody can do anything but wait; return ``idle``, ``exit``, ``stopped`` or ``busy``.

        Where there is nothing to choose, it may be waiting for a time of its own: it gets some patience for that. A
        server that only looks at its clock now and then is quiet all the same.
        """
        provider, application = self.provider, self.application
        pause, at_work, before, seen = 0.001, 0.001, None, -1
        last = quiet_since = busy_since = time.monotonic()
        quiet_in_all = 0.0
        known, rang, quiet = len(self.acting.did), False, self._quiet()
        while True:
            processes = application.processes()
            over = self.over(processes)
            if over and not processes:
                seen = provider.activity
                if await provider.caught_up() == seen:
                    return "exit"
                continue
            now = idle.look(processes)
            at_work = min(_RARE, at_work * 1.3) if now.busy else 0.001
            await asyncio.sleep(at_work if now.busy else pause)
            moment = time.monotonic()
            calm = before is not None and now.same(before) and await provider.caught_up() == seen
            if provider.activity != seen:
                quiet_in_all, busy_since = 0.0, moment
            if calm:
                quiet_in_all, busy_since = quiet_in_all + moment - last, moment
            else:
                quiet_since = moment
            last = moment
            offered = bool(self.acting.offered())
            if over and calm and not offered and moment - quiet_since >= quiet:
                return "exit"
            enough = moment - quiet_since >= quiet if offered else quiet_in_all >= self._grace(processes)
            if calm and enough:
                if offered and self._rings_soon(processes, quiet_in_all):
                    rang, pause = True, 0.005
                elif now.same(idle.look(application.processes())):  # nobody woke up before its timer was read
                    if rang:
                        self.in_vain = self.in_vain + 1 if len(self.acting.did) == known else 0
                    return "idle"
            if moment >= self.until:
                return "stopped"
            if moment - busy_since > self.limits.work:
                return "busy"
            if calm and not offered:
                pause = min(0.01, pause * 1.5)
            before, seen = now, provider.activity

    def _quiet(self) -> float:
        """Return how many seconds of quiet make sure that a program waits: none, where the system shows it."""
        return self.limits.quiet if idle.visible() else max(self.limits.quiet, _BLIND)

    def _rings_soon(self, processes: Sequence[int], waited: float) -> bool:
        """Whether a program that waits for an answer will wake up so soon that it had better do so first.

        An answer that raced with a short timer would come before it in one run and after it in the next. A program
        that wakes up again and again without asking anything is waited for a few times only. ``waited`` is for how
        long it has been quiet in all: what the machine takes to start it, or to let it wake up, is no waiting.
        """
        if waited > _TICKS or self.in_vain >= _IN_VAIN:
            return False
        return timers.wakes_in(idle.tree(processes)) <= _SOON

    def _grace(self, processes: Sequence[int]) -> float:
        """Return for how many seconds a program that does nothing is left alone, while there is nothing to choose.

        One that will wake up in time gets its time. Of one that will not, only somebody outside can make more: who is
        to get no answer is told at once, and who may wait for a database has a moment.
        """
        limits = self.limits
        if timers.wakes_in(idle.tree(processes)) <= limits.patience:
            return limits.patience
        stalled = any(one.state == "stalled" for one in self.acting.held)
        return max(limits.quiet, min(_STALLED if stalled else _ALONE, limits.patience))


def note_what_was_not_seen(provider: Provider) -> None:
    """Note at the end of a run what stood in the way of seeing all of it."""
    if provider.receiving:
        provider.strange.add("half a request", "the rest of its body never came")
    if not idle.visible():
        provider.strange.add(BLIND, f"this system does not show who waits: {_BLIND} s of quiet was taken for it")
