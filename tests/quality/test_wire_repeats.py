"""Who waits is seen and not guessed: the same schedule gives the same events, however busy the machine is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from capsound_checker.programs.modules import run_file
from capsound_checker.wire import idle

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "wire.py"

pytestmark = pytest.mark.skipif(not idle.visible(), reason="there is no /proc to look at")


@pytest.fixture(scope="module")
def measure() -> Iterator[ModuleType]:
    module = run_file(SCRIPT, "measure_wire")
    yield module
    del sys.modules[module.__name__]


KINDS = ["asyncio", "threads", "processes", "node"]


def command(measure: ModuleType, kind: str, folder: Path) -> tuple[str, ...]:
    found = dict(measure.commands(folder, None)).get(kind)
    if found is None:
        pytest.skip(f"there is no {kind} here")
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_schedule_gives_the_same_events(kind: str, measure: ModuleType, tmp_path: Path) -> None:
    with measure.busy(2):
        assert measure.differing(command(measure, kind, tmp_path), 5) == 0


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_so_do_500_runs_beside_eight_busy_loops(kind: str, measure: ModuleType, tmp_path: Path) -> None:
    with measure.busy(8):
        assert measure.differing(command(measure, kind, tmp_path), 500 // len(KINDS)) == 0
