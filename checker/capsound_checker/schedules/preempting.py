"""One schedule of two operations: the first is stopped at one of its instructions, the second runs there.

``Preempted`` does so with two threads, ``Interrupted`` in one thread, as a signal handler would.
"""

from __future__ import annotations

import dis
import inspect
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from capsound.adapter import Adapter, Answer, Kind
from capsound_checker.programs.program import Program, Step
from capsound_checker.programs.watch import Hung, joined, limit
from capsound_checker.schedules.instructions import Effect, Place, effects_of
from capsound_checker.schedules.orders import Orders, Outcome, anomaly_of, bare, do_step, journal_of, outcome_of
from capsound_checker.schedules.races import Race

_POLL = 0.000_2
_STILL = 3


class Preempted:
    """One schedule: thread one is stopped at its ``at``-th place, thread two runs, thread one goes on.

    Where ``at`` is 0 it is not stopped, and ``places`` are found. A thread may hang for ``patience`` seconds, or for
    what the adapter allows an operation.
    """

    waits = "the two operations wait for each other"
    handler = False

    def __init__(
        self, adapter: type[Adapter], before: Program, one: Step, two: Step, at: int, patience: float | None
    ) -> None:
        self.adapter_type, self.before, self.steps, self.at = adapter, before, (one, two), at
        self.patience = adapter.timeout if patience is None else patience
        self.base = bare(adapter, before)
        self.files = files_of(adapter, self.base.scopes.values())
        self.answers: list[Answer] = [Answer(Kind.HUNG), Answer(Kind.HUNG)]
        self.where = ""
        self.hung = self.waited = False
        self.stands_at: tuple[int, int] | None = None
        self.begin()
        self.second = threading.Thread(target=self._work, args=(1,), daemon=True)

    def begin(self) -> None:
        """Forget what was counted."""
        self.count = self.segment = 0
        self.last = Effect.OTHER
        self.places: list[Place] = []

    def _work(self, which: int) -> None:
        self.answers[which] = do_step(self.base, self.steps[which])

    def _traced(self) -> None:
        warm = bare(self.adapter_type, self.before) if sys.version_info >= (3, 12) else None
        sys.settrace(self._global)
        try:
            if warm is not None:  # code that runs for the first time sends no events for its instructions there
                at, self.at = self.at, 0
                do_step(warm, self.steps[0])
                self.at = at
                self.begin()
            self._work(0)
        finally:
            sys.settrace(None)

    def _global(self, frame: FrameType, _event: str, _: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename not in self.files:
            return None
        self.last = Effect.OTHER  # what was called is ours: no lock has been let go yet
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        sys.settrace(self._global)  # CPython 3.12 and later instrument code that is new to them only now
        return self._local

    def _local(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if event == "opcode":
            effect = effects_of(frame.f_code)[frame.f_lasti // 2]
            if effect is not Effect.LOCAL:
                self._arrive(frame, effect)
        return self._local

    def _arrive(self, frame: FrameType, effect: Effect) -> None:
        """Count a place; stop there, or where a lock that the second waits for may have been let go."""
        self.count += 1
        if self.at == 0:
            self.places.append(Place(self.segment, effect in (Effect.WRITE, Effect.ENTER)))
        elif self.count == self.at:
            self.where = f"{frame.f_code.co_name}, line {frame.f_lineno}, instruction {frame.f_lasti // 2}"
            self.second.start()
            self._wait()
        elif self.waited and self.last is Effect.CALL and self.second.is_alive():
            self._wait()
        if effect is not Effect.OTHER:
            self.segment += 1
        self.last = effect

    def _wait(self) -> None:
        """Wait until thread two has ended, or stands still: then it waits for something that thread one has."""
        ident = self.second.ident
        still = 0 if self.stands_at is None else _STILL - 1  # that it still waits is seen at one glance
        while self.second.is_alive() and still < _STILL:
            self.second.join(_POLL)
            frame = sys._current_frames().get(ident or 0)
            now = frame and (frame.f_lasti, id(frame.f_code))
            still = still + 1 if now == self.stands_at and not _could_run(self.second.native_id) else 0
            self.stands_at = now
        self.waited = self.waited or self.second.is_alive()

    def run(self) -> None:
        """Run the schedule; ``where`` stays empty when thread one had fewer instructions."""
        first = threading.Thread(target=self._traced, daemon=True)
        first.start()
        self.hung = not joined([first], self.patience) or (
            bool(self.where) and not joined([self.second], self.patience)
        )

    @property
    def needs_loop(self) -> bool:
        """Whether an operation could not go on without an event loop: that is no answer of the implementation."""
        return any(answer.kind is Kind.FAILED and "event loop" in answer.why for answer in self.answers)

    def shows(self, orders: Orders) -> Race | None:
        """Return the race, where no order one after the other explains what came out."""
        if not self.where and not self.hung:
            return None
        if self.hung:
            named = "hang", self.waits
        elif self.outcome() not in orders.outcomes:
            named = self.named()
        elif self.handler and orders.journals and (told := journal_of(self.base)) not in orders.journals:
            named = "wrong journal", f"no order of the two writes {told}"
        else:
            return None
        return Race(tuple(self.before), *self.steps, self.at, self.where, *named, handler=self.handler)

    def outcome(self) -> Outcome:
        """Return what came out."""
        return outcome_of(self.base, self.answers)

    def named(self) -> tuple[str, str]:
        """Return the anomaly that the monitor sees in what came out, and its sentence."""
        return anomaly_of(self.adapter_type, self.before, self.steps, self.answers, self.base)


def files_of(adapter: type[Adapter], scopes: Iterable[object]) -> set[str]:
    """Return the source files in which the first operation can be stopped: those that the adapter names, or of scopes.

    A scope that is only a number or a dictionary has none: what handles it is then in the adapter's own file.
    """
    if adapter.files:
        return set(adapter.files)
    found: set[str] = set()
    for owner in (*(type(scope) for scope in scopes), adapter):
        if found and owner is adapter:
            break
        try:
            found.add(inspect.getfile(owner))
        except (TypeError, OSError):  # built in, or typed into a console
            continue
    return found


def _could_run(native: int | None) -> bool:
    """Whether a thread only waits for its turn on a busy machine: it is no lock that holds it up.

    Read from /proc. Where there is none nobody can tell, and who stands still at every look is taken to wait.
    """
    try:
        told = Path(f"/proc/self/task/{native}/stat").read_bytes()
    except OSError:
        return False
    return told.rpartition(b")")[2].split()[0] == b"R"


class Interrupted(Preempted):
    """One schedule: the second operation is done by a signal handler, in the same thread, in the middle of the first.

    CPython lets a handler in where a function begins, where a loop goes back and after a call, and nowhere else.
    """

    previous = ""
    waits = "the handler waits for what it has interrupted"
    handler = True

    def _local(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if event == "opcode":
            name = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if self.previous.startswith(("CALL", "RESUME", "JUMP_BACKWARD")):
                self.count += 1
                if self.count == self.at:
                    self.where = f"{frame.f_code.co_name}, line {frame.f_lineno}"
                    self._work(1)
            self.previous = name
        return self._local

    def run(self) -> None:
        """Run the schedule; ``where`` stays empty when the first operation has fewer such places."""
        try:
            with limit(self.adapter_type.timeout):
                self._traced()
        except Hung:
            self.hung = True
        if self.where:
            self.hung = self.hung or any(answer.kind is Kind.HUNG for answer in self.answers)
