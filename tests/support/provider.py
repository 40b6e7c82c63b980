"""A provider for tests of clients: it answers by the dialects, in a thread, whatever the case named in the path means.

The first part of a path is the case: ``/case-1/v1/chat/completions``. Nothing of the explorer is in it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from capsound_checker.wire.dialects.registry import dialect_of
from capsound_checker.wire.dialects.shapes import Answer, Asked, BadRequest, Reply, Usage
from capsound_checker.wire.dialects.side import unbilled


@dataclass(frozen=True)
class Meant:
    """What a case answers: a reply (the default where there is none), a usage, or an error."""

    reply: Reply | None = None
    usage: Usage | None = None
    status: int = 200
    code: str = ""
    first: Reply | None = None
    """What is said before any tool has answered."""


@dataclass
class Provider:
    """The address, what the cases mean, and what was asked for in each of them."""

    cases: Mapping[str, Meant]
    base: str = ""
    asked: dict[str, list[Asked]] = field(default_factory=dict)
    side: dict[str, int] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        _, case, rest = request.path_qs.split("/", 2)
        raw = await request.read()
        answer = self.answer(case, request.method, "/" + rest, json.loads(raw) if raw else {})
        head = {"Content-Type": answer.content_type, **dict(answer.headers)}
        response = web.StreamResponse(status=answer.status, headers=head)
        await response.prepare(request)
        for chunk in answer.chunks:
            await response.write(chunk)
        await response.write_eof()
        return response

    def answer(self, case: str, method: str, path: str, body: Mapping[str, object]) -> Answer:
        aside = unbilled(method, path, body, ("model-1", "model-2"))
        if aside is not None:
            self.side[case] = self.side.get(case, 0) + 1
            return aside
        dialect, meant = dialect_of(path), self.cases[case]
        if dialect is None:
            self.unknown.append(f"{method} {path}")
            return Answer(404, "application/json", (b"{}",))
        if meant.status != 200:
            return dialect.error(meant.status, "no", meant.code)
        try:
            asked = dialect.asked(path, body)
        except BadRequest as error:
            self.unknown.append(f"{method} {path}: {error}")
            return dialect.error(400, str(error))
        self.asked.setdefault(case, []).append(asked)
        reply = meant.first if meant.first is not None and asked.turn == 0 else meant.reply
        return dialect.answer(asked, reply or asked.default, meant.usage, case)


@contextmanager
def serving(cases: Mapping[str, Meant]) -> Iterator[Provider]:
    """Serve on a free port of this machine until the block ends."""
    provider, ready, loop = Provider(cases), threading.Event(), asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", provider.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        provider.base = f"http://{host}:{port}"
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(900)
    try:
        yield provider
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
