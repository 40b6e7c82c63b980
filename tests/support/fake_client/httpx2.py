"""A client with the public names of httpx2 that matter inside: small enough to be there in every test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit


class HTTPError(Exception):
    def __init__(self, message: str, *, request: Any = None) -> None:
        super().__init__(message)
        self.request = request


class ConnectError(HTTPError): ...


class ReadTimeout(HTTPError): ...


class RemoteProtocolError(HTTPError): ...


class AsyncByteStream:
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""

    async def aclose(self) -> None: ...


class URL:
    def __init__(self, text: str) -> None:
        parts = urlsplit(text)
        self.host = parts.hostname or ""
        self.raw_path = parts.path.encode()
        self.text = text

    def __str__(self) -> str:
        return self.text


class Request:
    def __init__(self, method: str, url: str, body: bytes, timeout: float | None) -> None:
        self.method, self.url, self.body = method, URL(url), body
        self.headers: dict[str, str] = {}
        self.extensions = {"timeout": {"read": timeout}}

    async def aread(self) -> bytes:
        return self.body


class Response:
    def __init__(self, status_code: int, *, headers: Any = (), content: bytes = b"", stream: Any = None, request: Any = None) -> None:  # fmt: skip
        self.status_code, self.headers, self.content, self.stream = status_code, dict(headers), content, stream

    async def aread(self) -> bytes:
        if self.stream is not None:
            self.content = b"".join([chunk async for chunk in self.stream])
            self.stream = None
        return self.content


class AsyncHTTPTransport:
    async def handle_async_request(self, request: Request) -> Response:
        raise ConnectError("there is no network in a test")


class HTTPTransport:
    def handle_request(self, request: Request) -> Response:
        raise ConnectError("there is no network in a test")


class AsyncClient:
    """Posts JSON; ``retries`` times once more after an answer of 500 or more, or none."""

    def __init__(self, retries: int = 0, timeout: float | None = 60.0) -> None:
        self.transport = AsyncHTTPTransport()
        self.retries, self.timeout = retries, timeout

    async def post(self, url: str, document: object) -> Response:
        for left in range(self.retries, -1, -1):
            request = Request("POST", url, json.dumps(document).encode(), self.timeout)
            try:
                response = await self.transport.handle_async_request(request)
                await response.aread()
            except HTTPError:
                if left:
                    continue
                raise
            if response.status_code < 500 or not left:
                return response
        raise AssertionError


def post(url: str, document: object) -> Response:
    """Post without awaiting, as a synchronous client does."""
    return HTTPTransport().handle_request(Request("POST", url, json.dumps(document).encode(), None))
