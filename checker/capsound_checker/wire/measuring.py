"""Measuring a client: how many requests one logical call sends when it meets a fault, each time.

A driver makes one call in the user's own interpreter, or in node; capsound is the provider, gives the fault to every
request, and counts them until the driver has ended. Where it has not ended in time, the count is a lower bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path

from capsound.clients import FAULTS, Client
from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound_checker.intake.limits import cut
from capsound_checker.remote.lifeline import guarded, kill, lifeline
from capsound_checker.wire.application import adopt, environment
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.dialects.shapes import Answer, Usage
from capsound_checker.wire.held import Held, Order
from capsound_checker.wire.money import Tariff, Unit
from capsound_checker.wire.provider import Provider
from capsound_checker.wire.replies import Progress, Replies

SECONDS = 60.0
"""How long one call may take."""

_MODES = {"timeout": "timeout", "cut-stream": "stream", "cancel": "cancel"}
_ERRORS = {"500": 500, "503": 503, "529": 529, "429": 429}
_FOLDER = "drivers"


class NotMeasured(CapsoundError):
    """A client that is not installed there, or that sent nothing."""

    name = "not-measured"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Driver:
    """How one client is called: the library, where it comes from, and the call."""

    name: str
    library: str
    registry: str
    call: str

    @property
    def node(self) -> bool:
        """Whether it runs in node."""
        return self.registry == "npm"

    @property
    def script(self) -> str:
        """The whole script: what all drivers of its language do, and what this one calls."""
        kind = "mjs" if self.node else "py"
        folder = resources.files("capsound_checker.wire").joinpath(_FOLDER)
        parts = (folder.joinpath(f"{name}.{kind}.txt") for name in ("prelude", self.name))
        return "\n".join(part.read_text(encoding="utf-8") for part in parts)


DRIVERS: Mapping[str, Driver] = {
    one.name: one
    for one in (
        Driver("openai-python", "openai", "PyPI", "chat.completions.create"),
        Driver("openai-python-responses", "openai", "PyPI", "responses.create"),
        Driver("anthropic-python", "anthropic", "PyPI", "messages.create"),
        Driver("google-genai", "google-genai", "PyPI", "models.generate_content"),
        Driver("mistralai", "mistralai", "PyPI", "chat.complete"),
        Driver("litellm", "litellm", "PyPI", "acompletion, openai/"),
        Driver("langchain-openai", "langchain-openai", "PyPI", "ChatOpenAI.ainvoke"),
        Driver("pydantic-ai", "pydantic-ai-slim", "PyPI", "Agent.run, OpenAIChatModel"),
        Driver("openai-agents", "openai-agents", "PyPI", "Runner.run"),
        Driver("instructor", "instructor", "PyPI", "from_openai"),
        Driver("smolagents", "smolagents", "PyPI", "OpenAIModel.generate"),
        Driver("strands", "strands-agents", "PyPI", "Agent, OpenAIModel"),
        Driver("agno", "agno", "PyPI", "Agent.arun, OpenAIChat"),
        Driver("autogen", "autogen-ext", "PyPI", "OpenAIChatCompletionClient.create"),
        Driver("openai-node", "openai", "npm", "chat.completions.create"),
        Driver("anthropic-node", "@anthropic-ai/sdk", "npm", "messages.create"),
        Driver("ai-node", "ai", "npm", "generateText, @ai-sdk/openai"),
    )
}
"""The clients that can be measured."""


@dataclass(frozen=True, slots=True)
class Met:
    """What one call did when it met a fault."""

    fault: str
    requests: int
    saw: str
    """What the caller saw in the end: the name of an exception, or ``returns``."""
    version: str
    ended: bool
    """Whether the call had ended; else it may send more."""


def driver(name: str) -> Driver:
    """Return how a client is called. Raises ``NotMeasured``."""
    if name not in DRIVERS:
        raise NotMeasured(f"no client is called {cut(name)!r}", hint=nearest(name, DRIVERS))
    return DRIVERS[name]


def measure(
    one: Driver,
    python: str,
    node: Path,
    faults: Sequence[str] = tuple(FAULTS),
    tell: Callable[[str], None] = lambda _: None,
    seconds: float = SECONDS,
) -> tuple[Met, ...]:
    """Let a client meet each fault once; ``node`` is the folder with its ``node_modules``. Raises ``NotMeasured``."""
    adopt()
    met: list[Met] = []
    for fault in faults:
        tell(f"{one.name}: {fault}")
        met.append(asyncio.run(_Meeting(one, fault).run(python, node, seconds)))
    return tuple(met)


def client_of(one: Driver, met: Sequence[Met], day: date) -> Client:
    """Return what was measured as a row of ``clients.toml``; a call that had not ended is left out."""
    requests = {each.fault: each.requests for each in met if each.ended}
    return Client(one.name, one.library, one.registry, met[0].version, one.call, str(day), True, requests)


class _Meeting:
    """One call, and the provider that gives it a fault."""

    def __init__(self, one: Driver, fault: str) -> None:
        self.one, self.fault = one, fault
        self.requests = 0
        self.first = asyncio.Event()
        self.provider = Provider(self.arrived, lambda _: None)

    def arrived(self, held: Held) -> None:
        """Give the fault to a request."""
        self.requests += 1
        self.first.set()
        if self.fault in ("timeout", "cancel"):
            return
        if self.fault in _ERRORS:
            answer = held.dialect.error(_ERRORS[self.fault], "capsound measures what is sent again")
            if self.fault == "429":
                answer = Answer(answer.status, answer.content_type, answer.chunks, (("retry-after", "1"),))
            held.orders.put_nowait(Order(answer, answer.chunks))
            return
        answer = _plain(held)
        held.orders.put_nowait(Order(answer, () if self.fault == "no-answer" else answer.half, "break"))

    async def run(self, python: str, node: Path, seconds: float) -> Met:
        """Make the call; count until it has ended, or its time is over."""
        port = await self.provider.start()
        pipe = lifeline()
        mode = _MODES.get(self.fault, "plain")
        command = [python, "-P", "-c", self.one.script, mode]
        if self.one.node:
            command = ["node", "--input-type=module", "-e", self.one.script, "--", mode]
        try:
            process = await asyncio.create_subprocess_exec(
                *guarded(command, pipe),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=(pipe,),
                start_new_session=True,
                env={**os.environ, **environment(port)},
                cwd=node if self.one.node else None,
            )
            said, ended = await self._wait(process, seconds)
        finally:
            await self.provider.stop()
        words = dict(line.split(" ", 1) for line in said.splitlines() if line.startswith(("version ", "saw ")))
        if "version" not in words or not self.requests:
            last = (said.strip().splitlines() or ["it said nothing"])[-1]
            where = f"in {node}" if self.one.node else f"for {python}"
            raise NotMeasured(
                f"{self.one.name} sent no request",
                cause=cut(last),
                hint=f"see that {self.one.library} is installed {where}",
            )
        return Met(self.fault, self.requests, words.get("saw", "nothing"), words["version"], ended)

    async def _wait(self, process: asyncio.subprocess.Process, seconds: float) -> tuple[str, bool]:
        cancelling = asyncio.create_task(self._cancel(process)) if self.fault == "cancel" else None
        assert process.stdout is not None
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                while part := await process.stdout.read(65_536):
                    parts.append(part[:65_536])
                    del parts[:-20]
                await process.wait()
            ended = True
        except TimeoutError:
            ended = False
        finally:
            if cancelling is not None:
                cancelling.cancel()
            kill(process.pid, group=True)
            await process.wait()
        return b"".join(parts).decode(errors="replace"), ended

    async def _cancel(self, process: asyncio.subprocess.Process) -> None:
        """Tell the driver to cancel its call, once it has sent something."""
        await self.first.wait()
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(b"cancel\n")
            await process.stdin.drain()


def _plain(held: Held) -> Answer:
    """Return a whole answer to a request, as the provider gives it by default."""
    said, _ = Replies().say(Progress(), held.asked, held.body)
    usage: Usage = Billing(Tariff(Unit("tokens"))).bill(held.asked, "answer").usage
    return held.dialect.answer(held.asked, said.reply, usage, f"measured{held.number}")
