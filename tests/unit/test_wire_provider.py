"""The provider as a client sees it: nothing is answered by itself, and whoever leaves is missed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable

from capsound_checker.wire.acting import Acting, Did
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.held import Held
from capsound_checker.wire.money import Tariff, Unit
from capsound_checker.wire.provider import Provider
from capsound_checker.wire.schedule import Choice

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 7}


class Desk:
    """A provider, with what it was told of."""

    def __init__(self) -> None:
        self.acting = Acting(Billing(Tariff(Unit("tokens"))))
        self.provider = Provider(self.arrived, self.acting.left)
        self.came = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    def arrived(self, held: Held) -> None:
        self.acting.held.append(held)
        self.acting.arrived(held)
        self.came.set()

    async def send(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.provider.port)
        self.writers.append(writer)
        writer.write(data)
        await writer.drain()
        return reader, writer

    async def ask(self, **more: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.came.clear()
        both = await self.send(request(json.dumps({**BODY, **more}).encode()))
        await self.came.wait()
        return both

    def do(self, act: str) -> None:
        held = self.acting.offered()[0]
        self.acting.do(Choice(held.label, act), held)

    @property
    def did(self) -> list[str]:
        return [one.what for one in self.acting.did]


def request(body: bytes, path: str = "/v1/chat/completions") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""


async def message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    return head, await reader.readexactly(length)


def at(what: Callable[[Desk], Awaitable[None]]) -> Desk:
    async def run() -> Desk:
        desk = Desk()
        await desk.provider.start()
        try:
            await what(desk)
        finally:
            for writer in desk.writers:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await desk.provider.stop()
        return desk

    return asyncio.run(run())


async def until(what: Callable[[], object]) -> None:
    for _ in range(3_000):
        if what():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


def test_nothing_is_answered_by_itself() -> None:
    async def what(desk: Desk) -> None:
        reader, _ = await desk.ask()
        waiting = asyncio.create_task(reader.read(1))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        desk.do("answer")
        assert await asyncio.wait_for(waiting, 30) == b"H"

    assert at(what).did == ["arrived", "billed", "answered"]


def test_an_answer_tells_its_usage_and_one_without_does_not() -> None:
    async def what(desk: Desk) -> None:
        for act, told in (("answer", 9), ("low", 3), ("no-usage", None)):
            reader, _ = await desk.ask()
            desk.do(act)
            head, body = await message(reader)
            assert b" 200 " in head
            usage = json.loads(body).get("usage")
            assert (usage and usage["total_tokens"]) == told

    at(what)


def test_errors_have_their_status_and_are_billed_or_not() -> None:
    async def what(desk: Desk) -> None:
        for act, status in (("500", b"500"), ("503", b"503"), ("429", b"429"), ("500-free", b"500")):
            reader, _ = await desk.ask()
            desk.do(act)
            head, _ = await message(reader)
            assert head.split()[1] == status

    amounts = [one.bill.amount for one in at(what).acting.did if one.what == "billed" and one.bill is not None]
    assert amounts == [9, 9, 0, 0]


def test_a_dropped_connection_says_nothing_and_half_a_body_is_half() -> None:
    async def what(desk: Desk) -> None:
        reader, _ = await desk.ask()
        desk.do("drop")
        assert await rest(reader) == b""
        reader, _ = await desk.ask()
        desk.do("half")
        head, _, body = (await rest(reader)).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        assert 0 < len(body) < length

    at(what)


def test_a_stream_goes_on_as_it_was_begun() -> None:
    async def what(desk: Desk) -> None:
        reader, _ = await desk.ask(stream=True, stream_options={"include_usage": True})
        desk.do("no-usage")
        first = await asyncio.wait_for(reader.readuntil(b"data: "), 30)
        assert b"event-stream" in first
        await until(lambda: desk.acting.held[0].state == "begun")
        desk.do("answer")
        told = await asyncio.wait_for(reader.readuntil(b"[DONE]"), 30)
        assert b"total_tokens" not in told

    assert at(what).did == ["arrived", "billed", "begun", "answered"]


def test_a_client_that_leaves_is_billed_the_most_it_permits() -> None:
    async def what(desk: Desk) -> None:
        _, writer = await desk.ask()
        writer.close()
        await until(lambda: "left" in desk.did)

    did: list[Did] = at(what).acting.did
    assert [one.what for one in did] == ["arrived", "billed", "left"]
    assert did[1].bill is not None
    assert did[1].bill.amount == 9


def test_what_is_no_request_is_refused_and_counted() -> None:
    async def what(desk: Desk) -> None:
        for data in (request(b"{"), request(b"[]"), request(b"{}"), request(b"{}", "/v1/nowhere")):
            reader, _ = await desk.send(data)
            head, _ = await message(reader)
            assert head.split()[1] in (b"400", b"404")
        _, writer = await desk.send(request(b"{" + b" " * 100)[:-50])
        await until(lambda: desk.provider.receiving)
        writer.close()
        await until(lambda: not desk.provider.receiving)

    strange = at(what).provider.strange.of_run()
    assert {kind: number for kind, (number, _) in strange.items()} == {
        "bad request": 3,
        "unknown path": 1,
        "half a request": 1,
    }


def test_what_has_been_sent_has_been_read_once_it_has_caught_up() -> None:
    """A connection that waits to be taken, with its request already in it, is no silence."""

    async def what(desk: Desk) -> None:
        for number in range(1, 20):
            client = socket.create_connection(("127.0.0.1", desk.provider.port))
            client.sendall(request(json.dumps(BODY).encode()))  # and the loop has not run since
            before = desk.provider.activity
            assert await desk.provider.caught_up() > before
            assert len(desk.acting.held) == number
            client.close()

    at(what)
