"""The stories of three faults, byte for byte. ``UPDATE_GOLDEN=1`` writes ``stories/`` anew; read the diff."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from zoo import FOLDER, animal

from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import Step

STORIES = Path(__file__).resolve().parent / "stories"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))

PROGRAMS: dict[str, tuple[Step, ...]] = {
    "check_then_act": (
        Step("open", amount=60),
        Step("reserve", 0, 0, 0, 31),
        Step("reserve", 1, 0, 1, 31),
        Step("send", 0, 0, bill=31),
        Step("send", 1, 1, bill=31),
        Step("settle", 0, 0),
        Step("settle", 1, 1),
    ),
    "late_refusal": (
        Step("open", amount=60),
        Step("begin", 0, 0, 0, 31, 23),
        Step("begin", 1, 0, 1, 29, 29),
        Step("reply", 0, 0),
        Step("begin", 2, 0, 2, 8, 8),
        Step("reply", 1, 1),
        Step("reply", 2, 2),
        Step("begin", 0, 0, 3, 1, 1),
    ),
    "self_merge_doubles": (
        Step("open", amount=60),
        Step("delegate", 0, 0, 1, 20),
        Step("merge", 0, 1, 1),
        Step("reserve", 1, 1, 0, 31),
        Step("send", 1, 0, bill=31),
        Step("settle", 1, 0),
    ),
}
SHOWS = {
    "check_then_act": "stale-admit",
    "late_refusal": "late-refusal",
    "self_merge_doubles": "minted",
}


def told(name: str) -> str:
    run = Lockstep(animal(name).Target()).run(PROGRAMS[name])
    assert run.wrong()[0].anomaly == SHOWS[name]
    return run.story() + "\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_story(name: str) -> None:
    path = STORIES / f"{name}.txt"
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(told(name).encode())
        return
    if not path.exists():
        pytest.fail(f"there is no {path}: run with UPDATE_GOLDEN=1")
    assert told(name) == path.read_bytes().decode(), f"{path} differs; UPDATE_GOLDEN=1 writes it anew"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_story_does_not_change_the_run_that_it_tells(name: str) -> None:
    run = Lockstep(animal(name).Target()).run(PROGRAMS[name])
    events, findings = list(run.events), list(run.findings)
    assert run.story() == run.story()
    assert (run.events, run.findings) == (events, findings)


def test_stories_do_not_depend_on_hashing(process_env: Mapping[str, str]) -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(FOLDER)!r}, {str(Path(__file__).parent)!r}, {str(FOLDER.parents[1] / 'support')!r}]\n"
        "import test_stories\n"
        "for name in test_stories.PROGRAMS: print(test_stories.told(name), end='')\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**process_env, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for seed in ("0", "1", "4242")
    ]
    said = [process.communicate(timeout=900) for process in running]
    assert [err for _, err in said] == [b""] * 3
    assert [out for out, _ in said] == ["".join(map(told, PROGRAMS)).encode()] * 3


def test_every_story_is_used() -> None:
    assert {path.stem for path in STORIES.iterdir()} == set(PROGRAMS)
