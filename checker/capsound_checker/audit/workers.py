"""Stretches of a log judged by processes of this machine, one after the other by each.

Workers are forked, so that they begin at once. Each reads from a pipe, and ends when that comes to its end: however
this process ends, no worker outlives it by more than a stretch. Ctrl-C is for this process alone.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import Queue
from threading import Thread
from typing import Any, NoReturn, Self

from capsound_checker.audit.ahead import Maker
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.joining import Team
from capsound_checker.audit.lots import Lot, Range
from capsound_checker.audit.rules import LogMapping
from capsound_checker.audit.stretches import Summary, Terms, summarised
from capsound_checker.audit.unbroken import unbroken
from capsound_checker.spread.cluster import WorkerLost

_SOMETIMES = 16
"""After how many stretches circles are collected: nearly all that a stretch makes has none."""


class Crew:
    """Processes that do one thing for us, each at the other end of a pipe. To be used in a ``with`` statement."""

    def __init__(self, size: int, work: Callable[..., None], *given: Any) -> None:
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        how = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(how)
        for _ in range(size):
            here, there = context.Pipe()
            others = [*self._pipes, here] if how == "fork" else []
            process = context.Process(target=_begin, args=(there, others, work, given), daemon=True)
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(0.5)
            if process.is_alive():
                process.kill()
                process.join()

    def ask(self, worker: int, message: bytes) -> None:
        """Send a message; wait as long as the worker has not taken the last one. Raises ``WorkerLost``."""
        try:
            with unbroken():
                self._pipes[worker].send_bytes(message)
        except (BrokenPipeError, ConnectionResetError):
            self._lost(worker)

    def answer(self, worker: int) -> bytes:
        """Return the next message of a worker. Raises ``WorkerLost``."""
        try:
            with unbroken():
                return self._pipes[worker].recv_bytes()
        except (EOFError, ConnectionResetError):
            self._lost(worker)

    def _lost(self, worker: int) -> NoReturn:
        process = self._processes[worker]
        process.join(1)
        code = process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
        raise WorkerLost(
            f"worker {worker + 1} of {len(self._pipes)} has ended by itself, with {how}",
            cause="the system ends a process that takes too much memory" if code == -signal.SIGKILL else "",
            hint="run it again with fewer workers; the log was only read",
        )


def _begin(pipe: Connection, others: list[Connection], work: Callable[..., None], given: tuple[Any, ...]) -> None:
    """Work until the pipe ends. Ctrl-C is for the process at its other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in others:
        other.close()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        work(pipe, *given)


class Processes(Team):
    """Processes that judge stretches. Of one that has ended, nothing comes: its stretches are judged elsewhere."""

    def __init__(self, crew: Crew, size: int) -> None:
        self.crew, self.size, self.here = crew, size, True
        self.alive = list(range(size))
        self.given = 0

    def begin(self, terms: Terms, lot: Lot) -> object:
        """Give a stretch to the next worker; return which one that is."""
        while self.alive:
            worker = self.alive[self.given % len(self.alive)]
            self.given += 1
            try:
                where = lot if isinstance(lot, Range) else None
                self.crew.ask(worker, pickle.dumps((terms, where), pickle.HIGHEST_PROTOCOL))
                if isinstance(lot, bytes):
                    self.crew.ask(worker, lot)
            except WorkerLost:
                self.alive.remove(worker)
            else:
                return worker
        return None

    def finish(self, ticket: object) -> Summary | None:
        """Wait for the next answer of a worker."""
        if ticket not in self.alive or not isinstance(ticket, int):
            return None
        try:
            said: Summary | None = pickle.loads(self.crew.answer(ticket))
        except WorkerLost:
            self.alive.remove(ticket)
            return None
        return said


@contextmanager
def processes(asked: Asked, size: int) -> Iterator[Team]:
    """Start so many processes, and end them."""
    with Crew(size, summing, asked) as crew:
        yield Processes(crew, size)


def summing(pipe: Connection, asked: Asked) -> None:
    """Judge stretches until the pipe ends."""
    gc.freeze()
    gc.disable()
    count = 0

    def next_one() -> bytes:
        nonlocal count
        terms, where = pickle.loads(pipe.recv_bytes())
        said = summarised(asked.auditor(), terms, pipe.recv_bytes() if where is None else where)
        count += 1
        if count % _SOMETIMES == 0:
            gc.collect()
        return pickle.dumps(said, pickle.HIGHEST_PROTOCOL)

    _answering(pipe, next_one)


class Makers:
    """Processes that apply a mapping. What one that has ended should have made is made here."""

    def __init__(self, crew: Crew, mapping: LogMapping) -> None:
        self.crew, self.maker = crew, Maker(mapping)
        self.given: dict[int, deque[bytes]] = {}
        self.lost: set[int] = set()

    def give(self, worker: int, bundle: bytes) -> None:
        """Give a bundle to a worker."""
        self.given.setdefault(worker, deque()).append(bundle)
        self._try(worker, lambda: self.crew.ask(worker, bundle))

    def take(self, worker: int) -> bytes:
        """Return what was made of the first bundle that was given to a worker."""
        bundle = self.given[worker].popleft()
        answer = self._try(worker, lambda: self.crew.answer(worker))
        return self.maker.make(bundle) if answer is None else answer

    def _try(self, worker: int, what: Callable[[], bytes | None]) -> bytes | None:
        if worker not in self.lost:
            try:
                return what()
            except WorkerLost:
                self.lost.add(worker)
        return None


def making(pipe: Connection, mapping: LogMapping) -> None:
    """Make of bundles what a mapping makes of them, until the pipe ends."""
    maker = Maker(mapping)
    _answering(pipe, lambda: maker.make(pipe.recv_bytes()))


def _answering(pipe: Connection, next_one: Callable[[], bytes]) -> None:
    """Answer what is asked until the pipe ends.

    Answers are kept until they can be taken: a worker that waits with an answer would not take the next question, and
    whoever gives it would wait for ever.
    """
    answers: Queue[bytes] = Queue()

    def tell() -> None:
        with suppress(BrokenPipeError, ConnectionResetError, OSError):
            while True:
                pipe.send_bytes(answers.get())

    Thread(target=tell, daemon=True).start()
    while True:
        answers.put(next_one())
