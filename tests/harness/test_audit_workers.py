"""`capsound audit --workers`: the bytes of one process, an interrupt, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from long_logs import log
from processes import until, until_it_waits
from test_orphans import alive

Runs = Callable[..., Any]
TEAM = ("--workers", "2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("asked", [(), ("--lenient", "--json"), ("--cap", "70", "--show", "1", "--json")])
def test_two_processes_print_what_one_prints(seed: int, asked: tuple[str, ...], path: Path, capsound: Runs) -> None:
    rnd = Random(seed)
    bills = rnd.choice(["logged", "late", "settled"])
    wrong = 0.01 if "--lenient" in asked else 0.0
    path.write_text("".join(log(rnd, 400, bills=bills, wrong=wrong, beside=seed % 2 == 1)), errors="surrogateescape")
    assert capsound("audit", path, *asked, *TEAM) == capsound("audit", path, *asked)


def test_a_log_that_one_process_judges_is_so_with_two(path: Path, capsound: Runs) -> None:
    path.write_text("".join(log(Random(3), 200, odd=0.0)))
    asked = ("audit", path, "--json", "--what-if", "70")
    assert capsound(*asked, *TEAM) == capsound(*asked)


def test_a_log_that_grows_has_no_parts(path: Path, capsound: Runs) -> None:
    path.write_text("{}\n")
    assert capsound("audit", path, "--follow", *TEAM).status == 64
    assert capsound("audit", path, "--dask", "tcp://127.0.0.1:1", *TEAM).status == 64


CALLS = [
    {"event": "open", "root": "team", "cap": 60},
    *({"event": "reserve", "account": "team", "hold": f"h{n}", "amount": 31} for n in range(3)),
    *({"event": "settle", "hold": f"h{n}", "amount": 23} for n in range(3)),
]


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


@pytest.fixture
def waiting(process_env: dict[str, str]) -> Any:
    """An audit by two workers that has read a race, and waits for more."""
    command = [sys.executable, "-m", "capsound_checker", "audit", "-", "--json", *TEAM]
    with subprocess.Popen(
        command,
        env=process_env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as running:
        assert running.stdin is not None
        running.stdin.write("".join(json.dumps(event) + "\n" for event in CALLS))
        running.stdin.flush()
        until(lambda: len(children(running.pid)) == 2)
        until_it_waits(running)
        yield running
        running.kill()


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc to look at")


@needs_proc
def test_ctrl_c_prints_what_is_known(waiting: subprocess.Popen[str]) -> None:
    workers = children(waiting.pid)
    os.killpg(waiting.pid, signal.SIGINT)  # as a terminal does: the workers are told too
    out, err = waiting.communicate(timeout=900)
    told = json.loads(out)
    assert (waiting.returncode, told["interrupted"], told["events"], err) == (130, True, 7, "")
    until(lambda: not any(alive(worker) for worker in workers))


@needs_proc
def test_workers_do_not_outlive_the_command(waiting: subprocess.Popen[str]) -> None:
    workers = children(waiting.pid)
    waiting.kill()
    waiting.communicate(timeout=900)
    until(lambda: not any(alive(worker) for worker in workers))


@needs_proc
def test_a_worker_that_is_killed_loses_nothing(waiting: subprocess.Popen[str]) -> None:
    os.kill(children(waiting.pid)[1], signal.SIGKILL)
    out, err = waiting.communicate(timeout=900)
    told = json.loads(out)
    assert (waiting.returncode, told["events"], told["lines"], err) == (1, 7, 7, "")
