"""The page of ``capsound explore``, live on the loopback interface: it answers its own page, and nobody else.

What a stranger could do is only to ask what this scenario does next. Even that is refused to other pages: by the name
under which the server was asked (``Host``, against rebinding of names), and by the page that asks (``Origin``).
"""

from __future__ import annotations

import asyncio
import json
import logging
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound.machine import Machine
from capsound_checker.display.telling import error_data
from capsound_checker.page.rendering import live
from capsound_checker.solve.exploring import LETTERS, explored, start

HOST = "127.0.0.1"
"""The only address that is listened on."""

_QUIET = logging.getLogger("capsound.explore")
"""Takes what aiohttp says of requests that cannot be read: they are answered, and no error of ours."""

_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class PortTaken(CapsoundError):
    """The port cannot be listened on."""

    name = "port-taken"
    exit_status = EXIT_USAGE


def serve(machine: Machine, path: Path, port: int, told: Callable[[str], object], *, browse: bool) -> None:
    """Serve the page until Ctrl-C. ``told`` is given the address. Raises ``PortTaken``."""
    try:
        asyncio.run(_serve(machine, str(path), port, told, browse))
    except KeyboardInterrupt:
        return


async def _serve(machine: Machine, path: str, port: int, told: Callable[[str], object], browse: bool) -> None:
    runner = web.AppRunner(
        application(machine, path), access_log=None, handle_signals=False, shutdown_timeout=1, logger=_QUIET
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            hint = "choose another one with --port, or none: then any free one is taken"
            raise PortTaken(f"port {port} of {HOST} cannot be used: {error.strerror}", hint=hint) from None
        address = f"http://{HOST}:{runner.addresses[0][1]}/"
        told(address)
        if browse:
            await asyncio.to_thread(webbrowser.open, address)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def application(machine: Machine, path: str) -> web.Application:
    """Return the server of a scenario: ``/`` is the page, ``/at?token=...`` what it asks for."""

    async def at(request: web.Request) -> web.Response:
        try:
            found = await asyncio.to_thread(explored, machine, request.query.get("token", ""), path)
        except CapsoundError as error:
            return _json({"error": error_data(error)}, status=400)
        return _json(found)

    async def home(_: web.Request) -> web.Response:
        found = await asyncio.to_thread(explored, machine, start(machine), path)
        text = live(found, found["shown"] | {"plain": "<p>This page needs its script.</p>"})
        return web.Response(text=text, content_type="text/html")

    app = web.Application(middlewares=[_guard], client_max_size=1024)
    app.add_routes([web.get("/", home), web.get("/at", at)])
    return app


def _json(data: Any, status: int = 200) -> web.Response:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return web.Response(text=text, status=status, content_type="application/json")


@web.middleware
async def _guard(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Refuse whoever does not come from the page itself."""
    transport = request.transport
    port = 0 if transport is None else transport.get_extra_info("sockname")[1]
    known = {f"{host}:{port}" for host in (HOST, "localhost")}
    origin = request.headers.get("Origin")
    foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if request.host not in known or (origin is not None and origin.removeprefix("http://") not in known) or foreign:
        return web.Response(status=403, text="this server answers its own page only\n", headers=_HEADERS)
    if len(request.query_string) > LETTERS + 100:
        return web.Response(status=414, text="the token is too long\n", headers=_HEADERS)
    response: web.StreamResponse = await handler(request)
    response.headers.update(_HEADERS)
    return response
