"""Going through the schedules of one application, each way on in a process of its own.

Where there is something to choose, the process is forked: each copy goes on with one of the choices, from the very same
state of the application, of its client and of everything else. What schedules have in common is run once, nothing is
left over from one to the next, and a copy that crashes, hangs or ends takes nothing with it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from capsound_checker.remote.lifeline import end_with
from capsound_checker.wire.inside.merging import Journal, States
from capsound_checker.wire.inside.records import run_to_data
from capsound_checker.wire.inside.session import CANCEL, WAIT, Session
from capsound_checker.wire.inside.stage import Stage
from capsound_checker.wire.schedule import Choice, Schedule

_fork = os.fork
_exit = os._exit

WALL = 6
"""How many times its own time a step may take by the clock, before it is said to hang: for one that blocks."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Which schedules to go through: every order of answers, and ``faults`` of the acts ``acts`` in each run.

    ``at_least`` leaves out the runs with fewer faults: another tree has them.
    """

    acts: tuple[str, ...] = ()
    faults: int = 0
    at_least: int = 0
    merge: bool = True
    """Whether equal states are gone through once."""


@dataclass(slots=True)
class _Step:
    """One choice of a run: what could be chosen, and which of it was."""

    options: list[Choice]
    at: int
    place: int
    """Where the state is kept in which it is made."""
    before: int
    """How many schedules were gone through before it came up."""


_COLLECT = 10
"""After how many runs what they have left is collected."""


class Explorer:
    """Forks a session. ``out`` is where runs are written; ``stop`` is a file that is not empty once it is enough."""

    def __init__(self, stage: Stage, out: int, stop: int, patience: float) -> None:
        self.stage = stage
        self.session = stage.session
        self.states = States()
        self.journal = Journal()
        self.ended = ""
        """How the run has ended; nothing while it goes on."""
        self.followed = True
        self._out = out
        self._stop = stop
        self._patience = patience

    # ------------------------------------------------------------------------------------------- one process

    def attend(self, session: Session) -> None:
        """Take a session that has just begun, and let it go on until it can only wait."""
        self.session, self.ended, self.followed = session, "", True
        if self.stage.main is not None:
            self.states.reach(self.stage.main)
        self.rest()

    def rest(self) -> None:
        """Let the application go on until it can only wait."""
        if self.ended:
            return
        arm(self._patience)
        try:
            self.ended = self.session.rest()
        except SystemExit as error:
            self.exits(error.code)
        except KeyboardInterrupt:
            self.exits(130)
        arm(0)

    def exits(self, code: object) -> None:
        """Note that the application ends its process, with a status or a message."""
        self.session.status = code if isinstance(code, int) else 0 if code is None else 1
        self.ended = self.session.over("exit")

    def take(self, choice: Choice) -> None:
        """Do what is chosen, and let the application go on."""
        self.session.take(choice)
        self.rest()

    def tell(self, **more: object) -> None:
        """Write what this run was."""
        self.write({"say": "run", **run_to_data(self.session, self.ended, followed=self.followed), **more})

    def write(self, message: dict[str, Any]) -> None:
        """Write one message. Ends the process where nobody reads any more."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except OSError:
            _exit(1)

    # ------------------------------------------------------------------------------------------ many processes

    def branch(self, work: Callable[[], None]) -> int:
        """Do something in a copy of this process; return how the copy ended, as ``waitpid`` says it."""
        me = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # threads are left behind: that is told where they begin
            pid = _fork()
        if pid == 0:
            code = 1
            try:
                end_with(me)
                self.session.forked()
                work()
                code = 0
            except BaseException:  # noqa: BLE001 - a fault of ours: it is printed, and told as an end of the process
                traceback.print_exc()
            finally:
                _exit(code)
        return os.waitpid(pid, 0)[1]

    def ends_here(self) -> None:
        """Let ``os._exit`` in the application end the run, and be told."""

        def leave(status: int) -> NoReturn:
            self.exits(status)
            self.tell()
            self.states.handed = 1
            _exit(0)

        setattr(os, "_exit", leave)  # noqa: B010

    def follow(self, schedule: Schedule) -> None:
        """Go on by a schedule to the end, and tell the run."""
        while not self.ended:
            choice, followed = _chosen(schedule, len(self.session.acting.choices), self.session)
            self.followed = self.followed and followed
            told = run_to_data(self.session, "", followed=self.followed)
            told["choices"].append([choice.label, choice.act, self.session.offered()])
            self.journal.write(json.dumps(told).encode())
            self.take(choice)
        self.tell()

    def whole(self, tree: Tree) -> None:
        """Go through a tree from here on, and hand back how many schedules that were."""
        self.states.handed = self.go_through(tree)

    def repeatedly(self, tree: Tree) -> None:
        """Go through a tree in this process, beginning the application afresh for each run.

        That is quicker than a copy for each way on, and right only where nothing is left over: the state in which the
        application waits for the first time has to be the one that it had in a process of its own. Where it is not, or
        cannot be read, this says so and ends.
        """
        root = self.states.root(self.session)
        if root is None or self.ended:
            self.write({"say": "again", "why": self.states.why})
            return
        stack: list[_Step] = []
        total = runs = 0
        while True:
            runs += 1
            if runs % _COLLECT == 0:
                gc.collect()
            self.attend(self.stage.afresh())
            if self.states.root(self.session) != root:
                self.write({"say": "again", "why": self.states.why or "something is left over from run to run"})
                return
            if not self._again(tree, stack):
                self.write({"say": "again", "why": "the same choices did not lead to the same run"})
                return
            faults, known = self._onward(tree, stack, total)
            total += known - 1 if known else faults >= tree.at_least
            if known or faults >= tree.at_least:
                self.tell()
            while stack and stack[-1].at + 1 == len(stack[-1].options):
                step = stack.pop()
                self.states.note(step.place, total - step.before + 1)
            self.states.handed = total
            if not stack or self.enough():
                return
            stack[-1].at += 1

    def _again(self, tree: Tree, stack: list[_Step]) -> bool:
        """Make the choices of a stack; return whether they were there to be made."""
        faults = 0
        for step in stack:
            if self.ended or self.options(tree, faults) != step.options:
                return False
            choice = step.options[step.at]
            faults += choice.act in tree.acts
            self.take(choice)
        return True

    def _onward(self, tree: Tree, stack: list[_Step], total: int) -> tuple[int, int]:
        """Go on with the first option each time; return the faults of the run, and what is known of its last state."""
        faults = sum(step.options[step.at].act in tree.acts for step in stack)
        while not self.ended:
            options = self.options(tree, faults)
            place = -1
            if len(options) > 1:
                key = self.states.key(self.session, faults) if tree.merge else None
                place, known = self.states.find(key) if key is not None else (-1, 0)
                if known:
                    self.ended = "merged"
                    return faults, known
            stack.append(_Step(options, 0, place, total))
            faults += options[0].act in tree.acts
            self.take(options[0])
        return faults, 0

    def go_through(self, tree: Tree, faults: int = 0) -> int:
        """Go through all that can follow, depth first, and tell every run; return how many schedules that are.

        ``faults`` were chosen before. A state that was met before is gone through no further: its run is told as far
        as it went.
        """
        pending: list[tuple[int, int]] = []
        schedules = 0
        while not self.ended:
            options = self.options(tree, faults)
            if len(options) > 1:
                key = self.states.key(self.session, faults) if tree.merge else None
                if key is not None:
                    at, known = self.states.find(key)
                    if known:
                        self.ended = "merged"
                        schedules += known - 1
                        break
                    pending.append((at, schedules))
            for choice in options[:-1]:
                if self.enough():
                    return schedules
                schedules += self._go_on(tree, choice, faults)
            if self.enough():
                return schedules
            choice = options[-1]
            faults += choice.act in tree.acts
            self.take(choice)  # the last one needs no copy
        else:
            schedules += faults >= tree.at_least
        for at, before in pending:
            self.states.note(at, schedules - before + 1)
        if self.ended == "merged" or faults >= tree.at_least:
            self.tell()
        return schedules

    def _go_on(self, tree: Tree, choice: Choice, faults: int) -> int:
        """Go through what follows a choice, in a copy; return how many schedules that are."""
        states = self.states

        def work() -> None:
            self.take(choice)
            states.handed = self.go_through(tree, faults + (choice.act in tree.acts))

        status = self.branch(work)
        if status:
            self.lost(choice, status)
            return 1
        return states.handed

    def options(self, tree: Tree, faults: int) -> list[Choice]:
        """Return what can be chosen now: answers by name, then that time passes, then faults."""
        held = self.session.offered()
        out = [Choice(label) for label in held]
        if self.session.can_wait():
            out.append(WAIT)
        if faults < tree.faults:
            can_be_cancelled = self.session.cancellable()
            out = [
                Choice(label, act) for act in tree.acts for label in (can_be_cancelled if act == CANCEL else held)
            ] + out
        return out

    def lost(self, choice: Choice | None, status: int) -> None:
        """Tell the run of a copy that did not come to tell it itself."""
        kept = self.journal.read() if choice is None else b""
        data = json.loads(kept) if kept else run_to_data(self.session, "")
        if choice is not None:
            data["choices"].append([choice.label, choice.act, self.session.offered()])
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            hung = number in (signal.SIGPROF, signal.SIGALRM)
            data.update(ended="hung" if hung else "signal", status=0 if hung else number)
        else:
            data.update(ended="signal", status=os.WEXITSTATUS(status))
        self.write({"say": "run", **data})

    def enough(self) -> bool:
        """Whether no more is wanted."""
        return bool(os.pread(self._stop, 1, 0))


def _chosen(schedule: Schedule, step: int, session: Session) -> tuple[Choice, bool]:
    """Return what a schedule says of a step, and whether it can be done as it says."""
    waits = any(at == step and choice == WAIT for at, choice in schedule.departures)
    if waits and session.can_wait():
        return WAIT, True
    held = session.offered()
    if waits:
        return Choice(held[0]), False
    return schedule.choose(step, held)


def arm(seconds: float) -> None:
    """Let the kernel end this process when a step takes too long, of its own time or by the clock; 0: not any more."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, WALL * seconds)


def settle(read: Callable[[], dict[str, Any] | None], explorer: Explorer) -> None:
    """Do what is asked for, from the state in which the application waits for the first time, until nobody asks."""
    states = explorer.states
    while (asked := read()) is not None:
        states.clear()
        explorer.journal.write(b"")
        if asked["do"] == "run":
            status = explorer.branch(partial(explorer.follow, schedule_of_data(asked["schedule"])))
        else:
            tree = Tree(tuple(asked["acts"]), asked["faults"], asked["at_least"], asked["merge"])
            work = explorer.whole if asked["forks"] else explorer.repeatedly
            status = explorer.branch(partial(work, tree))
            if status and not asked["forks"]:
                explorer.write({"say": "again", "why": "a run has ended its process"})
                status = 0
        if status:
            explorer.lost(None, status)
        explorer.write({"say": "end", "schedules": states.handed, "states": states.number})


def schedule_to_data(schedule: Schedule) -> list[Any]:
    """Return a schedule as plain JSON data."""
    return [schedule.order, schedule.act, [[at, one.label, one.act] for at, one in schedule.departures]]


def schedule_of_data(data: Sequence[Any]) -> Schedule:
    """Return the schedule that was told."""
    order, act, departures = data
    return Schedule(order, act, tuple((at, Choice(label, how)) for at, label, how in departures))


def default_signals() -> None:
    """Let the signals of ``arm`` end the process, whatever was set before."""
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
