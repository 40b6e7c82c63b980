"""Applications that do what none should: none is called sound, none is waited for without end, none is left behind."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import left_behind
from test_orphans import HOW, Start, alive, end, start, until  # noqa: F401

from capsound_checker.wire import idle

FILE = Path(__file__).parent / "applications" / "hostile.py"
SECRET = "sk-proj-Very-Secret-0123456789"
OTHER_SECRET = "quite:another:form"

pytestmark = pytest.mark.skipif(not idle.visible(), reason="there is no /proc to look at")

SAYS = {
    "ends_at_once": "the application sent no request",
    "never_sends": "the application sent no request.*--env NAME",
    "ignores_the_address": "the application sent no request.*--env NAME",
    "hangs": "2 of 2 runs came to a stand",
    "hangs_at_once": "2 of 2 runs came to a stand",
    "is_busy": "2 of 2 runs computed on and on",
    "daemon": "2 of 2 runs came to a stand",
    "daemon_without_a_mark": "2 of 2 runs came to a stand",
    "forks_on_and_on": "unknown",
    "ignores_signals": "2 of 2 runs came to a stand",
    "asks_without_end": "2 of 2 runs sent more requests",
    "asks_all_at_once": "2 of 2 runs sent more requests",
    "long_body": "2 × too large",
    "half_a_head": "2 of 2 runs came to a stand",
    "half_a_body": "half a request",
    "half_a_body_and_away": "half a request",
    "no_json": "12 × bad request",
    "no_http": "the application sent no request",
    "unknown_path": "2 × unknown path: POST /v9/thoughts",
    "unknown_model": "unknown",
    "leaves_by_chance": "half a request",
    "prints_rubbish": "2 requests",
    "tells_its_key": "POST /v9/",
    "pipelined": "unknown",
    "chunked": "2 requests",
    "http_1_0": "2 requests",
    "idle_connections": "2 requests",
}
"""What has to be said of each, beside its verdict."""

VIOLATED = {"asks_without_end", "asks_all_at_once"}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from capsound_checker.wire import masking

    monkeypatch.setenv("OTHER_API_KEY", SECRET)
    monkeypatch.setenv("DATABASE_PASSWORD", OTHER_SECRET)
    masking.secrets.cache_clear()
    yield
    masking.secrets.cache_clear()


def wire(capsound: Callable[..., Any], kind: str, folder: Path, *options: str) -> Any:
    cap = ("--cap", "60tokens", "--runs", "2", "--patience", "1s", "--requests", "20")
    return capsound("wire", *cap, *options, "--", sys.executable, str(FILE), kind, str(folder))


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("kind", SAYS)
@pytest.mark.timeout(120)
def test_it_is_not_sound_and_nothing_is_left(kind: str, capsound: Callable[..., Any], tmp_path: Path) -> None:
    ran = wire(capsound, kind, tmp_path)
    assert ran.status == (1 if kind in VIOLATED else 2)
    assert re.search(SAYS[kind], ran.out), ran.out
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\x9b]", ran.out)
    assert re.fullmatch(r"found: 1,060 tokens billed .*\n" if kind in VIOLATED else "", ran.err)
    assert SECRET not in ran.out
    assert OTHER_SECRET not in ran.out
    assert not [path.name for path in tmp_path.iterdir() if alive(int(path.name))]
    assert left_behind(os.getpid()) == []


def test_every_hostile_application_is_run() -> None:
    kinds = re.findall(r"^def (\w+)\(\) -> None", FILE.read_text(), re.MULTILINE)
    assert set(SAYS) == set(kinds) - {"marked"}


@pytest.mark.usefixtures("secrets")
def test_keys_are_neither_shown_nor_saved(capsound: Callable[..., Any], tmp_path: Path) -> None:
    log = tmp_path / "run.jsonl"
    ran = wire(capsound, "tells_its_key", tmp_path, "--json", "--log", str(log))
    assert "my-key-is-a-key" in log.read_text()
    assert "[a key]" in ran.out
    for key in (SECRET, "0123456789", "sk-capsound-0"):
        assert key not in ran.out + ran.err + log.read_text()


def test_a_command_that_does_not_exist_is_bad_input(capsound: Callable[..., Any]) -> None:
    ran = capsound("wire", "--cap", "1usd", "--", "/nowhere/at-all")
    assert ran.status == 65
    assert "there is no command '/nowhere/at-all'" in ran.err


def test_a_file_that_cannot_be_run_is_bad_input(capsound: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_text("no program\n")
    path.chmod(0o755)
    ran = capsound("wire", "--cap", "1usd", "--runs", "1", "--", str(path))
    assert ran.status in (2, 65)  # a shell takes it for a script


def test_it_listens_on_the_loopback_interface_only() -> None:
    import asyncio

    from capsound_checker.wire.provider import Provider

    async def address() -> list[str]:
        provider = Provider(lambda _: None, lambda _: None)
        port = await provider.start()
        lines = [
            line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()
        ]
        await provider.stop()
        return [fields[1] for fields in lines if fields[1].endswith(f":{port:04X}") and fields[3] == "0A"]

    (only,) = asyncio.run(address())
    assert only.startswith("0100007F:")


@pytest.mark.parametrize("how", [*HOW, "one Ctrl-C"])
@pytest.mark.parametrize("kind", ["ignores_signals", "daemon_with_a_mark"])
def test_however_it_is_ended_it_leaves_nothing_behind(how: str, kind: str, tmp_path: Path, start: Start) -> None:  # noqa: F811
    program = FILE
    if kind == "daemon_with_a_mark":
        program = tmp_path / "daemon.py"
        program.write_text(FILE.read_text().replace("            os.environ.clear()\n", ""))
        kind = "daemon"
    marks = tmp_path / "marks"
    marks.mkdir()
    options = ("--cap", "60tokens", "--patience", "600s", "--no-color")
    process = start("-m", "capsound_checker", "wire", *options, "--", sys.executable, str(program), kind, str(marks))
    until(lambda: any(marks.iterdir()))
    until(lambda: any(alive(int(path.name)) for path in marks.iterdir()))
    if how == "one Ctrl-C":
        process.send_signal(signal.SIGINT)
        process.wait(900)
    else:
        end(process, how)
    until(lambda: not any(alive(int(path.name)) for path in marks.iterdir()))
    until(lambda: left_behind(process.pid) == [])
    if how == "one Ctrl-C":
        assert process.returncode == 130
        assert process.stdout is not None
        told = process.stdout.read().decode()
        assert "interrupted" in told
        assert "Traceback" not in told
