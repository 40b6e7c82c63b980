"""Nothing is left behind: whatever ends the command, what it has started ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import left_behind

from capsound_checker.remote.lifeline import TAG, guarded, marked, undisturbed

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc to look at")

ROOT = Path(__file__).parents[2]
DESK = ROOT / "tests" / "docs" / "desk"

LATEST = 900.0
"""When a test gives up, in seconds: it waits for events, and this is no measure of how long they take."""


def until(what: Callable[[], object]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + LATEST
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def listening() -> None:
    """Undo what a shell or a test runner has set: nohup and background jobs ignore some of these signals."""
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def start(process_env: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return what starts a Python process; it is ended with the test at the latest."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=process_env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=listening,  # no thread of this process holds a lock
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


Start = Callable[..., subprocess.Popen[bytes]]


def end(process: subprocess.Popen[bytes], how: str) -> None:
    """End a process by a signal; Ctrl-C comes again and again."""
    if how != "Ctrl-C":
        process.send_signal(getattr(signal, how))
        process.wait(LATEST)
        return

    def ended() -> bool:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        return process.poll() is not None

    until(ended)


HOW = ["SIGTERM", "SIGHUP", "SIGKILL", "Ctrl-C"]

STUCK = """
import os, subprocess, sys, time
sys.path.insert(0, {desk!r})
from pathlib import Path
from budget_adapter import *

class Stuck(BudgetAdapter):
    def reserve(self, scope, amount):
        kid = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path({mark!r}).write_text(f"{{os.getpid()}} {{kid.pid}} .")
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass
"""


@pytest.mark.parametrize("how", HOW)
def test_a_check_leaves_nothing_behind(how: str, tmp_path: Path, start: Start) -> None:
    mark, path = tmp_path / "pids", tmp_path / "stuck.py"
    path.write_text(STUCK.format(desk=str(DESK), mark=str(mark)))
    process = start("-m", "capsound_checker", "check", f"{path}:Stuck", "--budget", "600s")
    until(lambda: mark.exists() and mark.read_text().endswith("."))
    worker, kid = map(int, mark.read_text().split()[:2])
    assert alive(worker)
    assert alive(kid)
    end(process, how)
    until(lambda: not alive(worker) and not alive(kid))
    until(lambda: left_behind(process.pid) == [])  # the guard has ended too


SOLVING = """
import os, sys, time
from pathlib import Path
from capsound_checker.solve import running

def never(path, request, progress):
    Path(sys.argv[1], str(os.getpid())).touch()
    while True:
        time.sleep(600)

running.solve_file = never
try:
    running.solve_all([Path("one"), Path("two")], running.Request(plain=True), 2)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("how", HOW)
def test_solving_leaves_nothing_behind(how: str, tmp_path: Path, start: Start) -> None:
    process = start("-c", SOLVING, str(tmp_path))
    until(lambda: len([*tmp_path.iterdir()]) == 2)
    solvers = [int(path.name) for path in tmp_path.iterdir()]
    assert all(map(alive, solvers))
    end(process, how)
    until(lambda: not any(map(alive, solvers)))


HOLDING = """
import os, sys, time
from capsound_checker.remote.lifeline import lifeline, end_with
line, parent = lifeline(), os.getpid()
for _ in range(2):
    if not os.fork():
        if sys.argv[1] == "pipe":
            import capsound_checker.remote.lifeline as ours
            ours._tell_the_kernel = lambda: None
        end_with(parent, line if sys.argv[1] == "pipe" else None)
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(600)
time.sleep(600)
"""


@pytest.mark.parametrize(
    "by", ["pipe", pytest.param("kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux"))]
)
def test_each_of_the_two_ways_is_enough_alone(by: str, start: Start) -> None:
    """Also where brothers were forked, which would hold the pipe of one another."""
    process = start("-c", HOLDING, by)
    assert process.stdout is not None
    children = [int(process.stdout.readline()) for _ in range(2)]
    end(process, "SIGKILL")
    until(lambda: not any(map(alive, children)))


CHAIN = """
import os, time
for _ in range(200):
    if os.fork():
        time.sleep(0.002)
        os._exit(0)
    os.setsid()
time.sleep(600)
"""


def test_a_guard_ends_what_is_begun_while_it_looks() -> None:
    """Each of these leaves the session, begins the next and ends: one look at all processes may miss it."""
    entry = f"{TAG}={os.getpid()}.chain"
    reads, writes = os.pipe()
    os.set_inheritable(reads, True)
    env = {**os.environ, TAG: entry.partition("=")[2]}
    with subprocess.Popen(
        guarded([sys.executable, "-c", CHAIN], reads), pass_fds=[reads], start_new_session=True, env=env
    ) as process:
        os.close(reads)
        until(lambda: len(marked(entry)) > 1)
        os.close(writes)
        process.wait(LATEST)
    until(lambda: marked(entry) == [])


def test_ctrl_c_waits_until_what_was_started_has_been_ended() -> None:
    done: list[str] = []

    def disturbed() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("the block")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        disturbed()
    assert done == ["the block"]
    assert signal.getsignal(signal.SIGINT) is before
    with undisturbed():
        done.append("nobody came")
    assert done == ["the block", "nobody came"]
