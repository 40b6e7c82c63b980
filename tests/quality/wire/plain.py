"""What the applications of this folder share: a client of chat completions out of nothing but asyncio, and a ledger."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Iterable
from typing import Any
from urllib.parse import urlsplit

CURED = sys.argv[1:2] == ["cured"]
"""Whether the twin is to run that has no fault."""

Messages = list[dict[str, str]]


class Failed(Exception):
    """No usable answer came."""


class Ledger:
    """A budget in tokens with holds: what is held is not free."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.spent = 0
        self.held = 0

    @property
    def free(self) -> int:
        return self.cap - self.spent - self.held

    def hold(self, amount: int) -> bool:
        if amount > self.free:
            return False
        self.held += amount
        return True

    def settle(self, held: int, spent: int) -> None:
        self.held -= held
        self.spent += spent


def says(text: str, system: str = "") -> Messages:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": text}]


def most(messages: Messages, limit: int) -> int:
    """Return the largest bill of a request: its input as the provider counts it, and all the output that it permits."""
    return -(-len("\n".join(message["content"] for message in messages)) // 4) + limit


def told(answer: dict[str, Any]) -> int | None:
    usage = answer.get("usage")
    return None if usage is None else int(usage["total_tokens"])


async def ask(messages: Messages, limit: int, retries: int = 0) -> dict[str, Any]:
    """Return the answer to one request, which is sent again after an error. Raises ``Failed``."""
    for left in range(retries, -1, -1):
        try:
            body = b"".join([part async for part in _send(messages, limit, stream=False)])
            return dict(json.loads(body))
        except (Failed, OSError, ValueError, asyncio.IncompleteReadError):
            if not left:
                raise Failed from None
    raise AssertionError


async def stream(messages: Messages, limit: int) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the events of a streamed answer."""
    async for part in _send(messages, limit, stream=True):
        for line in part.split(b"\n"):
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


async def _send(messages: Messages, limit: int, *, stream: bool) -> AsyncGenerator[bytes, None]:
    url = urlsplit(os.environ["OPENAI_BASE_URL"])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        body = json.dumps({"model": "gpt-x", "messages": messages, "max_tokens": limit, **more}).encode()
        writer.write(f"POST {url.path}/chat/completions HTTP/1.1\r\nhost: {url.netloc}\r\n".encode())
        writer.write(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if " 200 " not in head.partition("\r\n")[0]:
            raise Failed
        length = head.partition("content-length:")[2].partition("\r\n")[0].strip()
        if length:
            yield await reader.readexactly(int(length))
            return
        while size := int(await reader.readline(), 16):  # chunked
            yield await reader.readexactly(size)
            await reader.readline()
    finally:
        writer.close()


async def together(agents: Iterable[Any]) -> None:
    await asyncio.gather(*agents)
