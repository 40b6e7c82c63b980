"""The deterministic loop as applications need it: what asks for a thread is run to its end, as one step."""

# ruff: noqa: ARG002  the names of parameters are those of the standard loop

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVarTuple, Unpack

from capsound_checker.schedules.eventloop import Loop

Ts = TypeVarTuple("Ts")


class InsideLoop(Loop):
    """A loop that is first in, first out, as the standard one is; nothing but answers and time is left to choose.

    ``unserved`` hears what an application needs and does not get, in words.
    """

    def __init__(self, unserved: Callable[[str], None]) -> None:
        super().__init__(fifo=True)
        self._unserved = unserved
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function now, to its end: no other thread is running that could come in between."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except (KeyboardInterrupt, SystemExit):
            raise
        except StopIteration as error:  # a future does not take it, as in the standard library
            future.set_exception(RuntimeError(f"a function raised {error!r}"))
        except BaseException as error:  # noqa: BLE001 - the executor hands on whatever is raised
            future.set_exception(error)
        return future

    def set_default_executor(self, executor: object) -> None:
        """Do nothing: functions are run at once."""

    def add_signal_handler(self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Do nothing: no signal comes."""

    def remove_signal_handler(self, sig: int) -> bool:
        """Do nothing."""
        return False

    def refuse(self, what: str) -> Any:
        """Raise ``NeedsRealLoop``, and note it: an application may swallow the error."""
        self._unserved(f"it needs {what}, which there is only with sockets, processes or threads")
        super().refuse(what)

    @contextmanager
    def generators(self) -> Iterator[None]:
        """See to asynchronous generators as the standard loop does: one that is dropped is closed in a task."""
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._generators.add, finalizer=self._dropped)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*before)

    def _dropped(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators.discard(generator)
        if not self.is_closed():
            self.call_soon(self.create_task, generator.aclose())

    def close_generators(self) -> None:
        """Close, in tasks, those that have begun and not ended: what ``asyncio.run`` does last."""
        for generator in list(self._generators):
            self._generators.discard(generator)
            self.create_task(generator.aclose())

    def due(self) -> None:
        """Ring the timers whose time has come: a function may have let time pass by ``time.sleep``."""
        while (when := self.next_timer()) is not None and when <= self.now:
            self.advance()


def inside_loop(unserved: Callable[[str], None]) -> InsideLoop:
    """Return a new loop."""
    return InsideLoop(unserved)  # type: ignore[abstract]  # what is absent is set on the base
