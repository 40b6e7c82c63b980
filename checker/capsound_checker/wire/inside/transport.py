"""The end of an HTTP client: what httpx and httpx2 hand to their transport is held, and answered as it is chosen.

Only public names are used: ``AsyncHTTPTransport.handle_async_request`` is the method that every ``AsyncClient`` calls
with a request and from which it gets a response. What is above it (retries, time limits, parsing, streams) is the
client's own.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from capsound_checker.wire.dialects.shapes import Answer
from capsound_checker.wire.held import Held, Order

MODULES = ("httpx2", "httpx")
"""The modules whose asynchronous clients are served."""


class Desk(Protocol):
    """Who receives the requests."""

    def receive(self, method: str, path: str, raw: bytes, headers: Any, patience: float | None) -> Held | Answer:
        """Take a request; return it, to be waited for, or an answer at once.

        ``patience`` is how many seconds its client waits for a part of the answer, None for ever.
        """
        ...

    async def order(self, held: Held) -> Order:
        """Wait for what is chosen for a request. Notes it where the client gives up meanwhile."""
        ...

    def left(self, held: Held) -> None:
        """Hear that a client has closed an answer before its end."""
        ...

    def unserved(self, what: str) -> None:
        """Hear that something was wanted that is not served."""
        ...


def available() -> tuple[str, ...]:
    """Return the modules that are installed."""
    return tuple(name for name in MODULES if importlib.util.find_spec(name) is not None)


def serve(desk: Desk) -> tuple[str, ...]:
    """Let the clients that are installed end at a desk; return their names."""
    found = available()
    for name in found:
        _serve(importlib.import_module(name), desk)
    return found


def _serve(module: Any, desk: Desk) -> None:
    body = _body(module, desk)

    async def handle_async_request(_: object, request: Any) -> Any:
        raw = await request.aread()
        patience = request.extensions.get("timeout", {}).get("read")
        path = request.url.raw_path.decode("ascii", "replace")
        received = desk.receive(request.method, path, raw, request.headers, patience)
        if isinstance(received, Answer):
            headers = _headers(received, whole=True)
            return module.Response(received.status, headers=headers, content=b"".join(received.chunks), request=request)
        order = await desk.order(received)
        if not order.chunks:
            raise _failure(module, order, request)
        headers = _headers(order.answer, whole=not received.asked.stream and order.then != "more")
        return module.Response(
            order.answer.status, headers=headers, stream=body(received, order, request), request=request
        )

    def handle_request(_: object, request: Any) -> Any:
        desk.unserved(f"it sends a request to {request.url.host} with a client that is not asynchronous")
        raise module.ConnectError("capsound: a synchronous client is not served inside", request=request)

    module.AsyncHTTPTransport.handle_async_request = handle_async_request
    module.HTTPTransport.handle_request = handle_request


def _headers(answer: Answer, *, whole: bool) -> list[tuple[str, str]]:
    headers = [("content-type", answer.content_type), *answer.headers]
    if whole:
        headers.append(("content-length", str(sum(map(len, answer.chunks)))))
    return headers


def _failure(module: Any, order: Order, request: Any) -> Exception:
    error: Exception
    if order.then == "timeout":
        error = module.ReadTimeout("", request=request)
    else:
        error = module.RemoteProtocolError("Server disconnected without sending a response.", request=request)
    return error


def _body(module: Any, desk: Desk) -> Callable[[Held, Order, Any], Any]:
    """Return the class of response bodies of one of the modules."""

    class Body(module.AsyncByteStream):  # type: ignore[misc]
        """The body of an answer, as far as it was sent."""

        def __init__(self, held: Held, order: Order, request: Any) -> None:
            self._held = held
            self._order: Order | None = order
            self._request = request

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while (order := self._order) is not None:
                for chunk in order.chunks:
                    yield chunk
                if order.then == "more":
                    try:
                        self._order = await desk.order(self._held)
                    except asyncio.CancelledError:
                        self._order = None
                        raise
                    if self._order.then == "timeout":
                        self._order = None
                        raise module.ReadTimeout("", request=self._request)
                    continue
                self._order = None
                if order.then == "break":
                    text = "peer closed connection without sending complete message body"
                    raise module.RemoteProtocolError(text, request=self._request)

        async def aclose(self) -> None:
            if self._order is not None:
                self._order = None
                desk.left(self._held)

    return Body
