"""A gateway at both ends: capsound is its clients, and the provider behind it.

The gateway is started once, and stays: it may take seconds to start. Each run has a name of its own, which goes into
headers, so that it has a budget of its own. All clients send at once, each its calls one after the other; what arrives
at the provider is held, and from there on a run is as that of an application.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.intake.limits import cut
from capsound_checker.wire.acting import Acting, Did
from capsound_checker.wire.application import KEY, Application, environment
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.held import Held
from capsound_checker.wire.provider import Provider
from capsound_checker.wire.replies import Replies
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.stepping import Limits, Run, Stepping, note_what_was_not_seen
from capsound_checker.wire.traffic import Traffic


class NotReached(CapsoundError):
    """A gateway that does not listen where it should."""

    name = "not-reached"
    exit_status = EXIT_BAD_INPUT


@dataclass
class Gateway:
    """A gateway that runs; use it in a ``with`` statement."""

    command: Sequence[str]
    traffic: Traffic
    billing: Billing
    limits: Limits
    variables: Sequence[str] = ()
    until: float = float("inf")
    replies: Replies = Replies()
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _provider: Provider = field(init=False)
    _application: Application = field(init=False)
    _runs: int = 0
    _mark: str = field(default_factory=lambda: f"{os.getpid():x}{time.time_ns() & 0xFFFFFF:06x}")

    def __enter__(self) -> Self:
        """Start it, and wait until it listens. Raises ``CannotRun`` and ``NotReached``."""
        try:
            self._loop.run_until_complete(self._start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End it, and everything that it has started."""
        self._end()

    def _end(self) -> None:
        if hasattr(self, "_application"):
            self._application.end()
        if hasattr(self, "_provider"):
            self._loop.run_until_complete(self._provider.stop())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _start(self) -> None:
        self._provider = Provider(lambda _: None, lambda _: None)
        port = await self._provider.start()
        self._application = Application(self.command, environment(port, self.variables))
        self._application.start()
        parts = urlsplit(self.traffic.url)
        until = time.monotonic() + self.traffic.start
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
                writer.close()
                return
            if self._application.status is not None or time.monotonic() > until:
                raise self._not_reached()
            await asyncio.sleep(0.05)

    def _not_reached(self) -> NotReached:
        status = self._application.status
        said = "\n".join(self._application.printed)
        what = "it does not listen" if status is None else f"it ended with status {status} before it listened"
        return NotReached(
            f"the gateway cannot be reached at {cut(self.traffic.url)}",
            cause=f"{what}; it printed:\n{said}" if said else what,
            hint="give its own address to --through; the provider's is in OPENAI_BASE_URL",
        )

    def run(self, schedule: Schedule) -> Run:
        """Send the traffic once, under a schedule. Raises ``NotReached`` where the gateway has ended before."""
        if self._application.status is not None:
            raise self._not_reached()
        self._runs += 1
        name = f"{self._mark}-{self._runs}"
        if self.traffic.before:
            subprocess.run(shlex.split(self.traffic.before.replace("{run}", name)), check=False, timeout=60)
        acting = Acting(self.billing, replies=self.replies)
        sending = _Sending(self._application, self._provider, schedule, acting, self.limits, self.until)
        return self._loop.run_until_complete(sending.run(self.traffic, name))


@dataclass
class _Sending(Stepping):
    """One run through a gateway."""

    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """Each call, by what it says."""
    clients: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, traffic: Traffic, name: str) -> Run:
        """Send all the calls, and choose until they have ended."""
        self.provider.renew(self.arrived, self.acting.left)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            self.clients += [
                asyncio.create_task(self._client(session, traffic, name, number))
                for number in range(1, traffic.clients + 1)
            ]
            try:
                ended = await self.steps()
                note_what_was_not_seen(self.provider)
            finally:
                for one in (*self.clients, *self.tasks.values()):
                    one.cancel()
                await asyncio.gather(*self.clients, *self.tasks.values(), return_exceptions=True)
        return self.result(ended)

    def over(self, processes: Sequence[int]) -> bool:
        """Whether every client has had all its answers; the gateway itself goes on."""
        del processes
        return all(one.done() for one in self.clients)

    def leave(self, held: Held) -> None:
        """Let the client of a request leave."""
        task = self.tasks.get(held.asked.said)
        if task is not None:
            task.cancel()

    async def _client(self, session: aiohttp.ClientSession, traffic: Traffic, name: str, number: int) -> None:
        for call in range(1, traffic.calls + 1):
            said = f"client {number}, call {call}"
            task = asyncio.create_task(self._call(session, traffic, name, number, said))
            self.tasks[said] = task
            await asyncio.wait([task])  # that it was cancelled is none of its errors
            self.provider.activity += 1

    async def _call(self, session: aiohttp.ClientSession, traffic: Traffic, name: str, number: int, said: str) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        for header, text in traffic.headers:
            headers[header] = text.replace("{run}", name).replace("{client}", str(number))
        body: dict[str, Any] = {
            "model": traffic.model,
            "max_tokens": traffic.limit,
            "messages": [{"role": "user", "content": said}],
        }
        self.provider.activity += 1
        try:
            async with session.post(f"{traffic.url.rstrip('/')}/chat/completions", json=body, headers=headers) as got:
                await got.read()
            if got.status >= 400:
                self._refused(said, str(got.status))
        except aiohttp.ClientError:
            self._refused(said, "no answer")
        finally:
            self.provider.activity += 1

    def _refused(self, said: str, how: str) -> None:
        """Note a call that failed for its client, and that nothing at the provider explains."""
        if not any(one.asked.said == said for one in self.acting.held):
            self.acting.did.append(Did("refused", said, how, segment=len(self.acting.choices)))
