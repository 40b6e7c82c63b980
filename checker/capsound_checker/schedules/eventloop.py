"""An event loop of asyncio on which somebody else says what runs next.

Coroutines run on it as real ``asyncio.Task`` objects: locks, events, semaphores, queues, ``gather``, ``wait_for``,
``timeout``, ``TaskGroup`` and ``shield`` are those of the standard library. Time is virtual: it jumps to the next
timer. There is no selector, no thread, no signal, and nothing that differs from run to run.

A loop is *free* or *first in, first out*. On a free loop any task that is ready may run next; what is not the step of
a task (the callbacks by which futures wake whoever waits for them) is run at once, since it decides nothing. On the
other the ready queue is kept as the standard loop keeps it, and there is nothing to choose.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import threading
import warnings
from asyncio import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from capsound.errors import CapsoundError

T = TypeVar("T")

Pick = Callable[[int], int]
"""Says which of so many ready tasks runs next: a number from 0 to one less."""


class NeedsRealLoop(CapsoundError):
    """The code asked the loop for something that only one with sockets, threads or processes has."""

    name = "needs-real-loop"


class Deadlock(CapsoundError):
    """No task can run, no timer is set, and somebody is still waiting."""

    name = "deadlock"


class Handle:
    """A callback that was asked for; ``task`` is the task whose step it is, if it is one."""

    __slots__ = ("_at", "args", "callback", "context", "is_cancelled", "task")

    def __init__(
        self,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
        task: asyncio.Task[Any] | None = None,
        at: float = 0.0,
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context if context is not None else contextvars.copy_context()
        self.task = task
        self._at = at
        self.is_cancelled = False

    def cancel(self) -> None:
        """Forget the callback."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it was forgotten."""
        return self.is_cancelled

    def when(self) -> float:
        """Return the virtual time of a timer, in seconds."""
        return self._at


class Running:
    """A block in which a loop is the running one of the thread."""

    __slots__ = ("_before", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._before: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        """Make it the running loop."""
        self._before = _get_running_loop()
        _set_running_loop(self._loop)

    def __exit__(self, *_: object) -> None:
        """Make that the running one which was before."""
        _set_running_loop(self._before)


_STEP = "TaskStepMethWrapper"
_STEPS = frozenset({"task_wakeup", "TaskWakeup", "__step", "__wakeup", "_Task__step", "_Task__wakeup"})


def _task_of(callback: Any) -> asyncio.Task[Any] | None:
    """Return the task of which a callback is the next step."""
    if type(callback).__name__ == _STEP or getattr(callback, "__name__", "") in _STEPS:
        owner: object = getattr(callback, "__self__", None)
        if isinstance(owner, asyncio.Task):
            return owner
    return None


def yields(handle: Handle) -> bool:
    """Whether a step goes on after ``sleep(0)``, or begins: it waits for nothing."""
    return handle.task is not None and not handle.args


class Loop(asyncio.AbstractEventLoop):
    """A loop without a will of its own: whoever drives it takes handles from ``ready`` and runs them.

    ``problems`` are the contexts that were given to the exception handler; nothing is printed. ``needs`` is the first
    thing asked for that the loop does not have; the error was raised where it was asked for, and may have
    been swallowed there.
    """

    def __init__(self, *, fifo: bool = False) -> None:
        self.fifo = fifo
        self.ready: list[Handle] = []
        self.relays: deque[Handle] = deque()
        self.timers: list[tuple[float, int, Handle]] = []
        self.now = 0.0
        self.tasks: list[asyncio.Task[Any]] = []
        self.problems: list[dict[str, Any]] = []
        self.needs: NeedsRealLoop | None = None
        self.on_task_created: Callable[[asyncio.Task[Any]], None] | None = None
        self._count = 0
        self._thread = threading.get_ident()
        self._factory: Any = None
        self._closed = False

    # ------------------------------------------------------------------------------------- asked by asyncio

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """Put a callback into the ready queue."""
        handle = Handle(callback, args, context, _task_of(callback))
        if handle.task is not None or self.fifo:
            self.ready.append(handle)
        else:
            self.relays.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """Do the same; from another thread it cannot be repeated, and is refused."""
        if threading.get_ident() != self._thread:
            self.refuse("call_soon_threadsafe from another thread")
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """Set a timer, ``delay`` seconds of virtual time from now."""
        return self.call_at(self.now + max(0.0, delay), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        """Set a timer."""
        handle = Handle(callback, args, context, _task_of(callback), when)
        self._count += 1
        heapq.heappush(self.timers, (when, self._count, handle))
        return handle

    def time(self) -> float:
        """Return the virtual time in seconds; it begins at 0."""
        return self.now

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **more: Any) -> asyncio.Task[Any]:
        """Return a task; its name is numbered within the loop, so that it is the same in every run."""
        if name is None:
            name = f"Task-{len(self.tasks) + 1}"
        if self._factory is not None:
            made = self._factory(self, coro, **({} if context is None else {"context": context}), **more)
            task: asyncio.Task[Any] = made
        else:
            task = asyncio.Task(coro, loop=self, name=name, context=context, **more)
        self.tasks.append(task)
        if self.on_task_created is not None:
            self.on_task_created(task)
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Let ``factory`` make the tasks."""
        self._factory = factory

    def get_task_factory(self) -> Any:
        """Return what was set."""
        return self._factory

    def get_debug(self) -> bool:
        """Return False: the debug mode of asyncio reads the clock."""
        return False

    def set_debug(self, enabled: bool) -> None:
        """Do nothing."""

    def is_running(self) -> bool:
        """Return whether somebody drives the loop."""
        return _get_running_loop() is self

    def is_closed(self) -> bool:
        """Return whether the loop was cleaned up."""
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what went wrong in a callback, or was left behind."""
        self.problems.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what went wrong in a callback, or was left behind."""
        self.problems.append(context)

    def set_exception_handler(self, handler: Any) -> None:
        """Do nothing: what went wrong is kept in ``problems``."""

    def get_exception_handler(self) -> None:
        """Return None."""
        return

    async def shutdown_asyncgens(self) -> None:
        """Do nothing."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing: there is none."""

    def close(self) -> None:
        """Drop what has not ended; nothing is printed of it."""
        self.clean()

    def refuse(self, what: str) -> NoReturn:
        """Raise ``NeedsRealLoop``: ``what`` is asked for, and the loop does not have it."""
        error = NeedsRealLoop(
            f"the code needs {what}, which this loop does not have",
            cause="it has no sockets, threads, processes or signals, so that every run can be repeated",
            hint="let the adapter replace it by something in memory, or check it with the history driver",
        )
        if self.needs is None:
            self.needs = error
        raise error

    # ------------------------------------------------------------------------------------ asked by a driver

    def running(self) -> Running:
        """Make this the running loop of the thread inside a block."""
        return Running(self)

    def run(self, handle: Handle) -> None:
        """Run one callback; an exception that it lets out is kept, as the standard loop does."""
        if handle.is_cancelled:
            return
        try:
            handle.context.run(handle.callback, *handle.args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - the standard loop keeps these as well
            self.problems.append({"message": f"Exception in callback {handle.callback!r}", "exception": error})

    def take(self, at: int = 0) -> None:
        """Run the handle at a place of the ready queue, and on a free loop what only passes its news on."""
        self.run(self.ready.pop(at))
        relays = self.relays
        while relays:
            self.run(relays.popleft())

    def flush(self) -> None:
        """Run the callbacks that are no steps of tasks; on a loop that keeps its queue there is nothing to do."""
        while self.relays:
            self.run(self.relays.popleft())

    def next_timer(self) -> float | None:
        """Return the time of the next timer, or None."""
        while self.timers and self.timers[0][2].is_cancelled:
            heapq.heappop(self.timers)
        return self.timers[0][0] if self.timers else None

    def advance(self) -> bool:
        """Let time jump to the next timer and ring all that are due then; return whether there was one."""
        when = self.next_timer()
        if when is None:
            return False
        self.now = max(self.now, when)
        while (due := self.next_timer()) is not None and due <= self.now:
            handle = heapq.heappop(self.timers)[2]
            (self.ready if handle.task is not None or self.fifo else self.relays).append(handle)
        self.flush()
        return True

    def drive(self, main: Coroutine[Any, Any, T], pick: Pick | None = None, *, most: int = 1_000_000) -> T:
        """Run ``main`` to its end and return its result; ``pick`` chooses among the tasks that are ready.

        Raises ``Deadlock`` at once when nothing can run, and what ``main`` raises. What is left is dropped.
        """
        before = _get_running_loop()
        _set_running_loop(self)
        try:
            task = self.create_task(main)
            ready, done, take = self.ready, task.done, self.take
            while not done():
                if not ready:
                    if not self.advance():
                        raise Deadlock("no task can run and no timer is set", cause=_waiting(self.tasks))
                    continue
                count = len(ready)
                take(0 if count == 1 or pick is None or self.fifo else pick(count))
                most -= 1
                if most < 0:
                    raise Deadlock("the tasks go round without coming to an end", cause=_waiting(self.tasks))
            result: T = task.result()
            return result
        finally:
            self.clean()
            _set_running_loop(before)

    def clean(self) -> None:
        """Drop every task that has not ended, in the order in which they began, without a word on stderr."""
        self._closed = True
        if any(not task.done() for task in self.tasks):
            _drop(self.tasks)
        for task in self.tasks:
            try:
                setattr(task, _TRACEBACK, False)
            except AttributeError:  # a factory may make tasks of its own
                continue
        self.ready.clear()
        self.relays.clear()
        self.timers.clear()


_TRACEBACK, _DESTROYED = "_log_traceback", "_log_destroy_pending"
"""What asyncio reads of a task to know whether to print something when the task is dropped."""


def _drop(tasks: list[asyncio.Task[Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for task in tasks:
            if task.done():
                continue
            setattr(task, _DESTROYED, False)
            for _ in range(3):  # one that awaits while it is closed objects; it is asked again
                coroutine = task.get_coro()
                try:
                    if coroutine is not None:
                        coroutine.close()
                    break
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException:  # noqa: BLE001 - what cleaning up raises interests nobody any more
                    continue


def _waiting(tasks: list[asyncio.Task[Any]]) -> str:
    names = [task.get_name() for task in tasks if not task.done()]
    return f"these wait: {', '.join(names)}"


def _lacking(operation: str) -> Callable[..., Any]:
    def lacks(self: Loop, *_: Any, **__: Any) -> NoReturn:
        self.refuse(operation)

    lacks.__name__ = operation
    return lacks


ABSENT = (
    "run_in_executor",
    "set_default_executor",
    "getaddrinfo",
    "getnameinfo",
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "create_datagram_endpoint",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "start_tls",
    "sendfile",
    "subprocess_shell",
    "subprocess_exec",
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
    "sock_sendfile",
    "add_signal_handler",
    "remove_signal_handler",
    "run_forever",
    "run_until_complete",
    "stop",
)
"""What only a loop with sockets, threads, processes or signals can do, or one that runs by itself."""

for _name in ABSENT:
    setattr(Loop, _name, _lacking(_name))


def new_loop(*, fifo: bool = False) -> Loop:
    """Return a free loop, or one that is first in, first out."""
    return Loop(fifo=fifo)  # type: ignore[abstract]  # what is absent is set above
