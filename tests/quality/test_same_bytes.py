"""The same file gives the same bytes, whatever else the machine does and however strings are hashed.

Searches and proofs are bounded by work. Were one bounded by the clock, busy loops beside it would cut it short. The
limits are lowered here, so that some search does reach its limit: that, too, has to be the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
from capsound_proofs import bmc, invariants, solve
solve.SEARCH, bmc.SHRINK, bmc.OVERSHOOT, invariants.IMPLY = [int(n) for n in sys.argv[1].split(",")]
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


def solved(files: list[str], limits: str, seed: str, process_env: dict[str, str]) -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, limits, *files],
        cwd=SCENARIOS,
        env={**process_env, "PYTHONHASHSEED": seed},
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("limits", [DEFAULT, SCARCE], ids=["default limits", "scarce limits"])
def test_load_and_hash_seed_change_nothing(limits: str, process_env: dict[str, str]) -> None:
    files = list(FILES)
    alone = solved(files, limits, "1", process_env)
    with busy(4):
        beside = solved(files, limits, "2", process_env)
    assert alone == beside


def test_what_was_solved_before_changes_nothing(process_env: dict[str, str]) -> None:
    """In one process: alone, and after others."""
    alone = solved(["record-after.toml"], SCARCE, "1", process_env)
    after = solved(["two-phase.toml", "record-after.toml", "record-after.toml"], SCARCE, "1", process_env)
    assert after.splitlines()[1:] == 2 * alone.splitlines()


def test_scarce_limits_are_reached(process_env: dict[str, str]) -> None:
    """What the tests above compare includes searches that gave up."""
    assert b"the limit of work was reached" in solved(list(FILES), SCARCE, "1", process_env)


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
