"""The same file gives the same bytes, whatever else the machine does and however strings are hashed.

Searches and proofs are bounded by work. Were one bounded by the clock, a process that is stopped again and again would be cut
short. The limits are lowered here, so that some search does reach its limit: that, too, has to be the same.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = ("overrun-dropped.toml", "record-after.toml")

PROGRAM = """
import json
import sys
from capsound.disciplines import DISCIPLINES
from capsound.loading import load_scenario
from capsound_checker.display.data import outcome_to_dict
from capsound_proofs import bmc, invariants, smallest, solve
solve.SEARCH, smallest.SHRINK, bmc.OVERSHOOT, invariants.IMPLY = [int(n) for n in sys.argv[1].split(",")]
solve.CHECKED = min(solve.CHECKED, solve.SEARCH)
for path in sys.argv[2:]:
    print(json.dumps(outcome_to_dict(solve.solve(load_scenario(path, known_disciplines=DISCIPLINES)))))
"""

DEFAULT = "12000000,10000000,5000000,10000000"
SCARCE = "60000,60000,50000,4000"


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep the machine busy."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


@contextmanager
def held_up(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let a process have its processor for a third of the time: its clock goes on as on a machine that is busy.

    Busy loops do the same, and take what other tests could use.
    """
    ended = threading.Event()

    def hold() -> None:
        while not ended.wait(0.02):
            process.send_signal(signal.SIGSTOP)
            ended.wait(0.04)
            process.send_signal(signal.SIGCONT)

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        ended.set()
        holding.join()


Solved = Callable[..., bytes]


@pytest.fixture(scope="module")
def solved(process_env: dict[str, str]) -> Solved:
    """Return what solves files in a process of its own, the same request only once."""

    @cache
    def solve(*files: str, limits: str, seed: str, hold: bool = False) -> bytes:
        with (
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, limits, *files],
                cwd=SCENARIOS,
                env={**process_env, "PYTHONHASHSEED": seed},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as process,
            held_up(process) if hold else nullcontext(),
        ):
            out, err = process.communicate(timeout=900)
        assert process.returncode == 0, err.decode()
        return out

    return solve


@pytest.mark.parametrize("limits", [DEFAULT, SCARCE], ids=["default limits", "scarce limits"])
def test_load_and_hash_seed_change_nothing(limits: str, solved: Solved) -> None:
    assert solved(*FILES, limits=limits, seed="1") == solved(*FILES, limits=limits, seed="2", hold=True)


def test_what_was_solved_before_changes_nothing(solved: Solved) -> None:
    """In one process: alone, and after others."""
    alone = solved("record-after.toml", limits=SCARCE, seed="1")
    after = solved("two-phase.toml", "record-after.toml", "record-after.toml", limits=SCARCE, seed="1")
    assert after.splitlines()[1:] == 2 * alone.splitlines()


def test_scarce_limits_are_reached(solved: Solved) -> None:
    """What the tests above compare includes searches that gave up."""
    assert b"the limit of work was reached" in solved(*FILES, limits=SCARCE, seed="1")


def whole_folder(seed: str, workers: str, process_env: dict[str, str]) -> bytes:
    """Solve every shipped scenario by the command line; the document holds no times."""
    done = subprocess.run(
        [sys.executable, "-m", "capsound_checker", "solve", "--expect", "--json", "--workers", workers, "."],
        cwd=SCENARIOS,
        env={**process_env, "PYTHONHASHSEED": seed},
        capture_output=True,
        timeout=1_200,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()[-2_000:] + done.stderr.decode()
    return done.stdout


@pytest.mark.deep
@pytest.mark.timeout(3_600)
def test_the_whole_folder_is_as_expected_beside_eight_busy_loops(process_env: dict[str, str]) -> None:
    """Alone, then twice on a busy machine: with other hash seeds, and with one worker and with two."""
    alone = whole_folder("1", "2", process_env)
    said = json.loads(alone)
    assert len(said) == len(list(SCENARIOS.rglob("*.toml")))
    with busy(8):
        assert whole_folder("2", "2", process_env) == alone
        assert whole_folder("3", "1", process_env) == alone
