"""Telling that two schedules have led to the same state, so that what follows is gone through once.

The application's own state is read exactly: its variables, where each of its coroutines is suspended with what it has
in hand, its tasks and timers. A call of a client that waits for an answer is told by the requests that it has sent and
what came of them: a client keeps nothing else from one request to the next that would change what it does. What can be
read neither way is ``Opaque``, and then no two states are taken for one.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import mmap
import random
import types
from typing import Any

from capsound_checker.programs.exhaust import Opaque
from capsound_checker.schedules.eventloop import Handle
from capsound_checker.schedules.objects import Reader, World
from capsound_checker.wire.inside.session import Session

CLIENTS = frozenset(
    {
        "openai",
        "anthropic",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "anyio",
        "sniffio",
        "pydantic",
        "pydantic_core",
        "jiter",
        "typing_extensions",
    }
)
"""The packages whose code is that of a client: what it has in hand follows from its requests and their answers."""


def _package(name: str | None) -> str:
    return (name or "").partition(".")[0]


def _of_client(value: Any) -> bool:
    if isinstance(value, types.ModuleType):
        return _package(value.__name__) in CLIENTS
    return isinstance(value, type | types.FunctionType | types.BuiltinFunctionType) and (
        _package(value.__module__) in CLIENTS
    )


class _World(World):
    """What the code of an application reaches, its clients left out."""

    def reach(self, value: Any) -> bool:
        if _of_client(value):
            return True
        return super().reach(value)


class _Reader(Reader):
    """Reads what an application has in hand; a client is told by what it has sent and got."""

    def __init__(self, world: World, session: Session, names: dict[int, object] | None = None) -> None:
        super().__init__(world, session.loop, names)
        self._session = session
        self._tasks: list[asyncio.Task[Any]] = []
        """The tasks that are being read, the innermost last."""

    def fork(self) -> Reader:
        return _Reader(self.world, self._session, dict(self.names))

    def read(self, value: Any) -> object:
        kind = type(value)
        if isinstance(value, asyncio.Task):
            self._tasks.append(value)
            try:
                return super().read(value)
            finally:
                self._tasks.pop()
        if isinstance(value, types.CoroutineType | types.GeneratorType | types.AsyncGeneratorType):
            code = getattr(value, "cr_code", None) or getattr(value, "gi_code", None) or getattr(value, "ag_code", None)
            if code is not None and _client_file(code.co_filename):
                return self._call(value)
        if _package(kind.__module__) in CLIENTS and not isinstance(value, type):
            return self._client(value)
        return super().read(value)

    def _call(self, value: Any) -> object:
        if not isinstance(value, types.CoroutineType) or value.cr_frame is None or not self._tasks:
            raise Opaque("a generator of a client cannot be read")
        if inspect.getcoroutinestate(value) == inspect.CORO_CREATED:
            raise Opaque("a call that has not begun cannot be read")
        return ("call", value.cr_code.co_qualname, self._session.history(self._tasks[-1]))

    def _client(self, value: Any) -> object:
        kind = type(value)
        if isinstance(value, BaseException):
            return super().read(value)
        if "Stream" in kind.__name__:
            raise Opaque("a stream of a client cannot be read")
        if hasattr(kind, "model_fields"):  # data, of pydantic
            return ("model", kind.__qualname__, self.read(dict(vars(value))))
        if kind.__name__ in ("Response", "LegacyAPIResponse", "APIResponse", "AsyncAPIResponse"):
            raw = getattr(value, "http_response", value)
            return ("http", kind.__name__, raw.status_code, raw.content, repr(sorted(raw.headers.items())))
        if kind.__name__ == "Request":
            return ("http", value.method, str(value.url))  # it was sent already: its label is in the books
        return ("client", kind.__qualname__)


def _client_file(path: str) -> bool:
    parts = path.replace("\\", "/").split("/site-packages/")
    return len(parts) > 1 and _package(parts[-1].partition("/")[0]) in CLIENTS


class States:
    """The states that were met, with how many schedules begin in each: shared by all copies of the process."""

    SLOTS = 1 << 20
    _WIDTH = 24

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.SLOTS * self._WIDTH + 16)
        self._world: World | None = None
        self.why = ""
        """Why no two states can be told to be the same, if that is so."""

    def reach(self, main: Any) -> None:
        """See what the main function of an application can reach, so that states can be told from each other."""
        if self.why:
            return
        self._world = _World()
        try:
            self._world.reach(main)
        except Opaque as error:
            self._opaque(error)

    def _opaque(self, error: Opaque) -> None:
        self._world, self.why = None, error.message

    def clear(self) -> None:
        """Forget all states: another tree is gone through."""
        self._memory.close()
        self._memory = mmap.mmap(-1, self.SLOTS * self._WIDTH + 16)

    def key(self, session: Session, more: object) -> bytes | None:
        """Return the state of a run that rests, or None where it cannot be read."""
        told = self._told(session, more)
        return None if told is None else _digest(told)

    def root(self, session: Session) -> bytes | None:
        """Return the state in which an application waits for the first time, to be compared with that of a fresh one.

        Whether an exception was ever handled in a coroutine makes a None more or less in what it holds, and the first
        run of a process handles some: here, and here only, None counts for nothing.
        """
        told = self._told(session, "root")
        for none in (", ('NoneType', 'None')", "('NoneType', 'None'), "):
            told = told and told.replace(none, "")
        return None if told is None else _digest(told)

    def _told(self, session: Session, more: object) -> str | None:
        if self._world is None:
            return None
        try:
            return repr((_state(session, self._world), more))
        except Opaque as error:
            self._opaque(error)
        except RecursionError:
            self._world, self.why = None, "the state is nested too deeply"
        except Exception as error:  # noqa: BLE001 - what somebody else's object raises when it is looked at
            self._world, self.why = None, f"the state cannot be read: {type(error).__name__}"
        return None

    def find(self, key: bytes) -> tuple[int, int]:
        """Return the place of a state, and how many schedules begin in it; 0 if it was not met (it is then noted)."""
        memory, width = self._memory, self._WIDTH
        at = int.from_bytes(key[:4], "little") % self.SLOTS
        for _ in range(self.SLOTS):
            start = at * width
            there = memory[start : start + 16]
            if there == key:
                return at, int.from_bytes(memory[start + 16 : start + 24], "little")
            if there == _NONE:
                memory[start : start + 16] = key
                self.number += 1
                return at, 0
            at = (at + 1) % self.SLOTS
        return -1, 0

    def note(self, at: int, schedules: int) -> None:
        """Note how many schedules begin in a state."""
        if at >= 0:
            start = at * self._WIDTH + 16
            self._memory[start : start + 8] = schedules.to_bytes(8, "little")

    @property
    def number(self) -> int:
        """How many states were met."""
        return self._get(0)

    @number.setter
    def number(self, value: int) -> None:
        self._set(0, value)

    @property
    def handed(self) -> int:
        """What a copy hands back when it ends: how many schedules it has gone through."""
        return self._get(1)

    @handed.setter
    def handed(self, value: int) -> None:
        self._set(1, value)

    def _get(self, cell: int) -> int:
        start = self.SLOTS * self._WIDTH + 8 * cell
        return int.from_bytes(self._memory[start : start + 8], "little")

    def _set(self, cell: int, value: int) -> None:
        start = self.SLOTS * self._WIDTH + 8 * cell
        self._memory[start : start + 8] = value.to_bytes(8, "little")


class Journal:
    """What a run has told so far, where another process can read it: one that hangs or dies does not tell it itself."""

    SIZE = 1 << 20

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.SIZE)

    def write(self, text: bytes) -> None:
        """Keep a text in place of the last one; one that is too long is not kept."""
        text = text if len(text) <= self.SIZE - 8 else b""
        self._memory[8 : 8 + len(text)] = text
        self._memory[:8] = len(text).to_bytes(8, "little")

    def read(self) -> bytes:
        """Return what was kept last."""
        return self._memory[8 : 8 + int.from_bytes(self._memory[:8], "little")]


_NONE = bytes(16)


def _digest(told: str) -> bytes:
    return hashlib.blake2b(told.encode(), digest_size=16).digest()


def _state(session: Session, world: World) -> object:
    loop = session.loop
    reader = _Reader(world, session)
    tasks = [(session.labels(task), reader.read(task)) for task in loop.tasks if not task.done()]
    timers = [(when, handle) for when, _, handle in sorted(loop.timers, key=_by_time) if not handle.is_cancelled]
    read_timers = [reader.read(handle) for _, handle in timers]
    variables: list[object] = []
    while len(variables) < len(world.slots):  # what is read may lead to more of them
        name, read = world.slots[len(variables)]
        variables.append((name, reader.read(read())))
    chance = random.getstate() if world.chance else None
    return variables, chance, tasks, read_timers, session.books()


def _by_time(timer: tuple[float, int, Handle]) -> tuple[float, int]:
    return timer[0], timer[1]
