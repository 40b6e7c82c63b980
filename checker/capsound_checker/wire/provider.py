"""The provider: a server on the loopback interface that holds every request until it is told what to do with it.

HTTP is the work of aiohttp. What is ours is that nothing is answered by itself: a request waits with its connection
open, is named, and somebody else decides. The server notices when a client gives up.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from aiohttp import web

from capsound_checker.intake.limits import check_data
from capsound_checker.wire.dialects.registry import dialect_of
from capsound_checker.wire.dialects.shapes import Answer, BadRequest, Dialect
from capsound_checker.wire.dialects.side import unbilled
from capsound_checker.wire.held import Held, Order, Strange
from capsound_checker.wire.labels import Names
from capsound_checker.wire.masking import mask

BODY = 32 << 20
"""The longest body of a request that is read, in bytes."""


class Provider:
    """The server of one run. ``arrived`` and ``left`` are called in the loop, for each request."""

    def __init__(self, arrived: Callable[[Held], None], left: Callable[[Held], None], most: int = 10_000) -> None:
        self.held: list[Held] = []
        self.strange = Strange()
        self.activity = 0
        """Grows with everything that happens here: while it does, nobody is idle."""
        self.receiving = 0
        """Of how many requests a part has come, and not yet the rest."""
        self.port = 0
        self._arrived = arrived
        self._left = left
        self._most = most
        self._names = Names()
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen on a port of the loopback interface; return it."""
        server = web.Application()
        server.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            server, handler_cancellation=True, access_log=None, shutdown_timeout=0.0, logger=_Complaints(self.strange)
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=_BACKLOG)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self.port

    def renew(self, arrived: Callable[[Held], None], left: Callable[[Held], None]) -> None:
        """Begin another run on the same port: whoever still waits gets no answer, and names are given anew."""
        for one in self.held:
            one.orders.put_nowait(_SHUT)
        self.held, self.strange, self._names = [], Strange(), Names()
        self._arrived, self._left = arrived, left

    async def stop(self) -> None:
        """Close every connection."""
        for one in self.held:
            one.orders.put_nowait(_SHUT)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.activity += 1
        path = request.path_qs
        dialect = dialect_of(path)
        raw = await self._body(request)
        if raw is None:
            return self._refuse(413, "too large", f"POST {request.path}: a body of more than {BODY >> 20} MiB")
        try:
            body = json.loads(raw) if raw else {}
            check_data(body)
            if not isinstance(body, dict):
                raise BadRequest("the body is no JSON object")
            if (free := unbilled(request.method, path, body)) is not None:
                return _plain(free)
            if dialect is None or request.method != "POST":
                kind = "unknown path" if request.method == "POST" else "other"
                return self._refuse(404, kind, f"{request.method} {request.path}")
            asked = dialect.asked(path, body)
            asked = replace(asked, said=mask(asked.said), model=mask(asked.model))
        except BadRequest as error:
            return self._refuse(400, "bad request", f"{request.method} {request.path}: {error.message}", dialect)
        except (ValueError, RecursionError):
            return self._refuse(400, "bad request", f"{request.method} {request.path}: the body is no JSON", dialect)
        if len(self.held) >= self._most:
            return self._refuse(429, "too many", f"more than {self._most:,} requests", dialect)
        named = self._names.name(path, body, asked, request.headers)
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        one = Held(len(self.held) + 1, named, dialect, asked, path, body, peer[1] if peer else 0)
        self.held.append(one)
        self._arrived(one)
        return await self._serve(request, one)

    async def _body(self, request: web.Request) -> bytes | None:
        """Read a body piece by piece: each counts as activity, and the want of one does not. None for a long one."""
        self.receiving += 1
        parts: list[bytes] = []
        size = 0
        try:
            while part := await request.content.readany():
                self.activity += 1
                size += len(part)
                if size > BODY:
                    return None
                parts.append(part)
        except (asyncio.CancelledError, Exception):
            self.strange.add("half a request", f"{request.method} {request.path}: its connection was closed")
            raise
        finally:
            self.receiving -= 1
            self.activity += 1
        return b"".join(parts)

    async def caught_up(self) -> int:
        """Let everything be read that has been sent so far; return the activity after that.

        A connection that has just been made needs a few turns of the loop until its request is here.
        """
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        return self.activity

    def _refuse(self, status: int, kind: str, example: str, dialect: Dialect | None = None) -> web.Response:
        self.strange.add(kind, example)
        if dialect is None:
            return web.json_response({"error": {"message": f"capsound serves no such thing: {kind}"}}, status=status)
        return _plain(dialect.error(status, example))

    async def _serve(self, request: web.Request, one: Held) -> web.StreamResponse:
        response: web.StreamResponse | None = None
        try:
            while True:
                order = await one.orders.get()
                self.activity += 1
                if order.then == "break" and not order.chunks:
                    return self._broken(request)
                if response is None:
                    response = web.StreamResponse(status=order.answer.status)
                    response.content_type = order.answer.content_type
                    for name, value in order.answer.headers:
                        response.headers[name] = value
                    if not one.asked.stream:
                        response.content_length = sum(map(len, order.answer.chunks))
                    await response.prepare(request)
                for chunk in order.chunks:
                    await response.write(chunk)
                if order.then == "break":
                    return self._broken(request, response)
                if order.then == "end":
                    one.state = "ended"
                    with suppress(ConnectionError):  # it has all of it
                        await response.write_eof()
                    return response
                one.state = "begun"
        except (asyncio.CancelledError, ConnectionError):
            if one.state != "ended":
                one.gone, one.state = True, "ended"
                self._left(one)
            raise
        finally:
            one.state = "ended"
            self.activity += 1

    def _broken(self, request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
        """Close the connection in the middle."""
        if request.transport is not None:
            request.transport.close()
        return response if response is not None else web.Response(status=500)


class _Complaints(logging.Logger):
    """What the HTTP library has to complain of is what the application has sent: it is counted, and not printed."""

    def __init__(self, strange: Strange) -> None:
        super().__init__("capsound.wire", logging.INFO)
        self._strange = strange

    def handle(self, record: logging.LogRecord) -> None:
        self._strange.add("no HTTP", record.getMessage())


def _plain(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=b"".join(answer.chunks), content_type=answer.content_type)


_BACKLOG = 4_096
"""Connections that may wait to be taken: one that finds no room waits for a second, and nobody sees it."""
_TURNS = 20
_SHUT = Order(Answer(500, "application/json", ()), (), "break")
