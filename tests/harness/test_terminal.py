"""Colours and progress: on a terminal and nowhere else; interruptions; readers that leave."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

fcntl = pytest.importorskip("fcntl", reason="needs pseudo-terminals")
termios = pytest.importorskip("termios", reason="needs pseudo-terminals")

Runs = Callable[..., Any]

COLOUR = re.compile(r"\x1b\[[0-9;]*m")

LATEST = 900.0
"""When a test gives up, in seconds: it waits for events, and this is no measure of how long they take."""


@dataclass
class Terminal:
    """A process whose streams are pipes or terminals of 80 columns, as told."""

    process: subprocess.Popen[bytes]
    streams: dict[int, str]
    text: dict[str, str] = field(default_factory=lambda: {"out": "", "err": ""})

    def read(self, until: str = "", seconds: float = LATEST) -> None:
        """Collect output until ``until`` was seen on either stream, or the end."""
        deadline = time.monotonic() + seconds
        while self.streams and time.monotonic() < deadline:
            if until and any(until in text for text in self.text.values()):
                return
            for descriptor in select.select(list(self.streams), [], [], 0.1)[0]:
                try:
                    data = os.read(descriptor, 65536)
                except OSError:  # Linux says EIO when the other side of a terminal is closed
                    data = b""
                if data:
                    self.text[self.streams[descriptor]] += data.decode(errors="replace")
                else:
                    os.close(descriptor)
                    del self.streams[descriptor]
        assert not self.streams or not until, f"{until!r} was not seen: {self.text}"

    def end(self, seconds: float = LATEST) -> int | None:
        """Read the rest and return the exit status; None for a process that does not end in time."""
        self.read(seconds=seconds)
        try:
            return self.process.wait(timeout=LATEST)
        except subprocess.TimeoutExpired:
            return None


@contextlib.contextmanager
def started(
    *arguments: object, terminals: str, cwd: Path, env: Mapping[str, str], columns: int = 80
) -> Iterator[Terminal]:
    """Start capsound in a session of its own; ``terminals`` names the streams that are one: "out", "err", "out err"."""
    mine: dict[int, str] = {}
    theirs: dict[str, int] = {}
    for name in ("out", "err"):
        if name in terminals.split():
            reading, writing = os.openpty()
            fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        else:
            reading, writing = os.pipe()
        mine[reading], theirs[name] = name, writing
    process = subprocess.Popen(
        [sys.executable, "-m", "capsound_checker", *map(str, arguments)],
        cwd=cwd,
        env={"TERM": "xterm-256color", **env},
        stdin=subprocess.DEVNULL,
        stdout=theirs["out"],
        stderr=theirs["err"],
        start_new_session=True,
    )
    for descriptor in theirs.values():
        os.close(descriptor)
    terminal = Terminal(process, mine)
    try:
        yield terminal
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for descriptor in terminal.streams:
            os.close(descriptor)


@pytest.fixture
def on_terminal(process_env: dict[str, str], shared: Path) -> Callable[..., dict[str, str]]:
    """Run capsound with terminals in place of some of its streams; return what was written to which."""

    def run(*arguments: object, terminals: str = "out", **env: str) -> dict[str, str]:
        with started(*arguments, terminals=terminals, cwd=shared, env={**process_env, **env}) as terminal:
            terminal.end()
            return terminal.text

    return run


# Colours


@pytest.mark.parametrize(
    "command",
    [
        "solve race.toml",
        "solve race.toml sound.toml bad.toml --workers 1",
        "solve bad.toml",
        "replay race.toml cs1:60/0.0.1.1.2.2",
        "explain overshoot",
        "--help",
    ],
)
def test_no_colour_where_there_is_no_terminal(command: str, capsound_once: Runs, shared: Path) -> None:
    ran = capsound_once(*command.split(), cwd=shared)
    assert "\x1b" not in ran.out + ran.err


def test_no_colour_from_a_process_with_pipes(capsound_process: Runs, shared: Path) -> None:
    ran = capsound_process("solve", "race.toml", "sound.toml", cwd=shared)
    assert "\x1b" not in ran.out
    assert ran.err == ""


def test_no_progress_in_a_file_even_if_colours_are_forced(capsound_process: Runs, shared: Path) -> None:
    """CI services set FORCE_COLOR, and their logs are no terminals that can be rewritten."""
    assert capsound_process("solve", "sound.toml", cwd=shared, env={"FORCE_COLOR": "1"}).err == ""


@pytest.mark.parametrize(
    ("command", "coloured"),
    [
        ("solve race.toml", "\x1b[1;31mVIOLATED\x1b[0m  cap"),
        ("solve sound.toml", "\x1b[1;32msound\x1b[0m  cap"),
        ("solve sound.toml handles.toml", "\x1b[1;31mviolated\x1b[0m"),
    ],
)
def test_colour_on_a_terminal(command: str, coloured: str, on_terminal: Callable[..., dict[str, str]]) -> None:
    assert coloured in on_terminal(*command.split())["out"]


@pytest.mark.parametrize(
    ("arguments", "env"),
    [((), {"NO_COLOR": "1"}), (("--no-color",), {}), ((), {"TERM": "dumb"})],
    ids=["NO_COLOR", "--no-color", "dumb"],
)
def test_plain_text_on_a_terminal(
    arguments: tuple[str, ...], env: dict[str, str], on_terminal: Callable[..., dict[str, str]]
) -> None:
    text = on_terminal("solve", "race.toml", *arguments, **env)["out"]
    assert "VIOLATED  cap" in text
    assert "\x1b" not in text


def test_an_empty_no_color_says_nothing(on_terminal: Callable[..., dict[str, str]]) -> None:
    """https://no-color.org: "when present and not an empty string"."""
    assert COLOUR.search(on_terminal("solve", "handles.toml", NO_COLOR="")["out"])


def test_no_color_means_the_progress_too(on_terminal: Callable[..., dict[str, str]]) -> None:
    assert not COLOUR.search(on_terminal("solve", "sound.toml", "--no-color", terminals="out err")["err"])


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({}, id="colour"),
        pytest.param({"NO_COLOR": "1"}, id="NO_COLOR"),
    ],
)
def test_lines_fit_the_terminal(env: dict[str, str], on_terminal: Callable[..., dict[str, str]]) -> None:
    """All but the line to paste, which must stay in one piece."""
    lines = COLOUR.sub("", on_terminal("solve", "race.toml", **env)["out"]).split("\r\n")
    assert [line for line in lines if len(line) > 80 and "replay:" not in line] == []


# Progress


def test_progress_is_shown_on_the_terminal_of_stderr(on_terminal: Callable[..., dict[str, str]]) -> None:
    text = on_terminal("solve", "race.toml", terminals="err")
    assert "solving" in text["err"]
    assert "solving" not in text["out"]
    assert "\x1b" not in text["out"]


def test_progress_leaves_the_cursor_as_it_was(on_terminal: Callable[..., dict[str, str]]) -> None:
    text = on_terminal("solve", "sound.toml", terminals="err")["err"]
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert text.endswith("\x1b[2K")


def test_progress_counts_the_files(on_terminal: Callable[..., dict[str, str]]) -> None:
    assert "of 2 solved" in on_terminal("solve", "handles.toml", "sound.toml", terminals="err")["err"]


# Ctrl-C


@pytest.fixture(scope="module")
def slow_folder(tmp_path_factory: pytest.TempPathFactory, source: dict[str, str]) -> Path:
    """Return a folder of which two files are solved at once, and three take minutes."""
    path = tmp_path_factory.mktemp("slow")
    (path / "a.toml").write_text(source["handles"])
    (path / "b.toml").write_text(source["sound"])
    for name in ("c", "d", "e"):
        (path / f"{name}.toml").write_text(source["slow"])
    return path


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, source: dict[str, str]) -> Path:
    """Return a folder with the question that takes long, to be asked by itself."""
    path = tmp_path_factory.mktemp("alone")
    (path / "slow.toml").write_text(source["slow"])
    return path


@dataclass(frozen=True)
class Interrupted:
    """How a run ended that was interrupted."""

    status: int | None
    out: str
    err: str
    alive: bool


def _alive(group: int) -> bool:
    """Return whether a process of the group is left for good."""
    for _ in range(int(LATEST / 0.05)):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def _interrupt(terminal: Terminal) -> Interrupted:
    """Press Ctrl-C: the terminal sends the signal to every process of the group."""
    os.killpg(terminal.process.pid, signal.SIGINT)
    status = terminal.end()
    return Interrupted(status, terminal.text["out"], terminal.text["err"], _alive(terminal.process.pid))


@pytest.fixture(scope="module", params=["1", "2"], ids=["one worker", "two workers"])
def interrupted(request: pytest.FixtureRequest, process_env: dict[str, str], slow_folder: Path) -> Interrupted:
    """Interrupt a folder of five when two of its files are solved."""
    with started(
        "solve", ".", "--workers", request.param, terminals="err", cwd=slow_folder, env=process_env
    ) as terminal:
        terminal.read(until="2 of 5 solved")
        return _interrupt(terminal)


def test_ctrl_c_ends_soon_with_130(interrupted: Interrupted) -> None:
    """Long before the three that take minutes: they are not in its table."""
    assert interrupted.status == 130
    assert not {"c.toml", "d.toml", "e.toml"} & set(interrupted.out.split())


def test_ctrl_c_prints_what_is_known(interrupted: Interrupted) -> None:
    rows = [line.split()[:2] for line in interrupted.out.splitlines()]
    assert ["violated", "a.toml"] in rows
    assert ["sound", "b.toml"] in rows


def test_ctrl_c_leaves_no_process_behind(interrupted: Interrupted) -> None:
    assert not interrupted.alive


def test_ctrl_c_is_no_bug(interrupted: Interrupted) -> None:
    assert "bug" not in interrupted.err
    assert "Traceback" not in interrupted.err


def test_ctrl_c_says_what_is_missing(interrupted: Interrupted) -> None:
    assert "interrupted" in interrupted.out + interrupted.err
    assert re.search(r"\b3\b", interrupted.out.splitlines()[-1] + interrupted.err.splitlines()[-1])


def test_ctrl_c_while_one_file_is_solved(process_env: dict[str, str], alone: Path) -> None:
    with started("solve", "slow.toml", terminals="err", cwd=alone, env=process_env) as terminal:
        terminal.read(until="proof with these")  # while it creates its first context, z3 prints a traceback of its own
        end = _interrupt(terminal)
    assert end.status == 130
    assert end.out == ""
    assert "interrupted" in end.err
    assert "Traceback" not in end.err
    assert not end.alive


def test_ctrl_c_while_the_solver_thinks(process_env: dict[str, str], alone: Path) -> None:
    """Three runs at different moments, since the signal may also come between two questions to the solver."""
    with contextlib.ExitStack() as stack:
        runs = [
            stack.enter_context(started("solve", "slow.toml", terminals="err", cwd=alone, env=process_env))
            for _ in range(3)
        ]
        for run in runs:
            run.read(until="proof with these")
        time.sleep(2)
        for run in runs:
            time.sleep(0.3)
            os.killpg(run.process.pid, signal.SIGINT)
        ends = [(run.end(), "unknown" in run.text["out"], "bug" in run.text["err"]) for run in runs]
    assert ends == [(130, False, False)] * 3


# Readers that leave


@pytest.fixture(scope="module")
def unread(process_env: dict[str, str], shared: Path) -> Callable[[str], tuple[int, str]]:
    """Run a command whose output nobody reads; return its exit status and standard error."""

    def run(command: str) -> tuple[int, str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "capsound_checker", *command.split()],
            cwd=shared,
            env=process_env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        with process.stderr as stderr:
            told = stderr.read().decode()
        return process.wait(timeout=900), told

    return run


UNREAD = {
    "schema scenario": (0, 141),
    "new scenario": (0, 141),
    "explain": (0, 141),
    "--help": (0, 141),
    "solve sound.toml": (0, 141),
    "solve race.toml --json": (1, 141),
}
"""With the statuses that are no lie: that of the verdict, or the shell's own for SIGPIPE."""


@pytest.mark.parametrize("command", UNREAD)
def test_a_reader_that_leaves_is_no_error(command: str, unread: Callable[[str], tuple[int, str]]) -> None:
    assert unread(command)[1] == ""


@pytest.mark.parametrize(
    "command",
    UNREAD,
)
def test_a_reader_that_leaves_changes_no_verdict(command: str, unread: Callable[[str], tuple[int, str]]) -> None:
    assert unread(command)[0] in UNREAD[command]


def test_head(process_env: dict[str, str], shared: Path) -> None:
    """The usual case, through a shell."""
    done = subprocess.run(
        f'"{sys.executable}" -m capsound_checker schema scenario | head -1',
        shell=True,
        cwd=shared,
        env=process_env,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_no_bug_of_ours(process_env: dict[str, str], shared: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "capsound_checker", "explain"],
            cwd=shared,
            env=process_env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=900,
            check=False,
        )
    assert "No space left on device" in done.stderr
    assert done.returncode != 70
    assert "bug" not in done.stderr
