"""Applications that do what none should: one for each name, given as the first argument."""

# ruff: noqa: T201
from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

URL = urlsplit(os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:9/v1"))
HOST, PORT = URL.hostname or "", URL.port or 9
PATH = f"{URL.path}/chat/completions"
JSON = {"content-type": "application/json"}
MARK = sys.argv[2] if len(sys.argv) > 2 else ""
"""A folder in which each process leaves a file with its number as the name."""


def marked() -> None:
    if MARK:
        Path(MARK, str(os.getpid())).touch()


def body(text: str = "hello", **more: object) -> bytes:
    message = {"role": "user", "content": text}
    return json.dumps({"model": "gpt-x", "messages": [message], "max_tokens": 50, **more}).encode()


def ask(text: str = "hello", path: str = PATH, data: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, PORT)
    try:
        connection.request("POST", path, data if data is not None else body(text), JSON)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def raw(data: bytes) -> socket.socket:
    connection = socket.create_connection((HOST, PORT))
    connection.sendall(data)
    return connection


def head(length: int, version: str = "1.1", more: str = "") -> bytes:
    lines = f"POST {PATH} HTTP/{version}\r\nhost: x\r\ncontent-type: application/json\r\n{more}"
    return f"{lines}content-length: {length}\r\n\r\n".encode()


def ends_at_once() -> None:
    sys.exit(3)


def never_sends() -> None:
    print("nothing to ask")


def ignores_the_address() -> None:
    with suppress(OSError):
        http.client.HTTPConnection("127.0.0.1", 9).request("POST", "/v1/chat/completions", body(), JSON)


def hangs() -> None:
    ask()
    signal.pause()


def hangs_at_once() -> None:
    signal.pause()


def is_busy() -> None:
    ask()
    while True:
        pass


def daemon() -> None:
    """Fork twice, leave the session, and go on for ever."""
    ask()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            marked()
            os.environ.clear()
            while True:
                time.sleep(600)
        os._exit(0)
    os.wait()


def daemon_without_a_mark() -> None:
    """Begin a process that has an empty environment and a session of its own, and end before it."""
    ask()
    code = f"import os, pathlib, time; pathlib.Path({MARK!r}, str(os.getpid())).touch(); time.sleep(600)"
    subprocess.Popen(
        [sys.executable, "-S", "-c", code],
        env={},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(Path(MARK).iterdir()):
        time.sleep(0.01)


def forks_on_and_on() -> None:
    """Each child begins the next one and ends."""
    ask()
    for _ in range(300):
        if os.fork():
            os._exit(0)
    marked()
    time.sleep(600)


def ignores_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    marked()
    ask()
    while True:
        time.sleep(600)


def asks_without_end() -> None:
    for number in range(10_000):
        ask(f"request {number}")


def asks_all_at_once() -> None:
    threads = [threading.Thread(target=ask, args=(f"request {number}",)) for number in range(500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def long_body() -> None:
    with suppress(OSError, http.client.HTTPException):
        print(ask(data=body("x" * 100_000_000))[0])


def half_a_head() -> None:
    raw(b"POST /v1/chat/comp").recv(1)


def half_a_body() -> None:
    raw(head(1_000) + body()).recv(1)


def half_a_body_and_away() -> None:
    raw(head(1_000) + body()).close()


def no_json() -> None:
    for data in (b"{", b"\xff\xfe", b"[" * 100_000, b"null", b'{"model": 1}', b'{"model": "x", "messages": [1, null]}'):
        print(ask(data=data)[0])


def no_http() -> None:
    for data in (b"\x16\x03\x01\x00\xee\x01", b"HELLO\r\n\r\n", b"GET\r\n\r\n", b"\0" * 5_000):
        with suppress(OSError):
            print(raw(data).recv(100))


def unknown_path() -> None:
    print(ask(path="/v9/thoughts")[0])


def unknown_model() -> None:
    print(ask(data=body().replace(b"gpt-x", b"nobody-knows-it"))[0])


def leaves_by_chance() -> None:
    chance = random.Random(0)
    for number in range(20):
        data = head(len(body(f"request {number}"))) + body(f"request {number}")
        connection = raw(data[: chance.randrange(1, len(data) + 1)])
        if chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    ask("the last one")


def prints_rubbish() -> None:
    ask()
    sys.stdout.buffer.write(b"\x1b]0;title\x07\x1b[2J\x9b31m\xff\xfe\0\r\n" * 100)
    for _ in range(50):
        sys.stdout.buffer.write(b"y" * 1_000_000)
    sys.stdout.flush()


def tells_its_key() -> None:
    secret = os.environ["OTHER_API_KEY"]
    print(f"key {secret}, {os.environ['DATABASE_PASSWORD']}, {os.environ['OPENAI_API_KEY']}")
    ask(f"my key is {secret}")
    ask(path=f"/v9/{secret}")
    ask(path=f"/v9/thoughts?key={secret}")
    ask(data=json.dumps({"model": secret}).encode())
    sys.exit(f"no luck with {secret}")


def pipelined() -> None:
    data = b"".join(head(len(body(text))) + body(text) for text in ("one", "two", "three"))
    connection = raw(data)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(65_536):
        pass


def chunked() -> None:
    connection = raw(
        f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode()
    )
    for letter in body():
        connection.sendall(b"1\r\n%c\r\n" % letter)
    connection.sendall(b"0\r\n\r\n")
    while connection.recv(65_536):
        pass


def http_1_0() -> None:
    connection = raw(head(len(body()), "1.0") + body())
    while connection.recv(65_536):
        pass


def idle_connections() -> None:
    kept = [socket.create_connection((HOST, PORT)) for _ in range(400)]
    ask()
    for connection in kept:
        connection.close()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
