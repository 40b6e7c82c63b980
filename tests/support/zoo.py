"""The faulty zoo as data: one module for each file of tests/quality/zoo, and what each says of itself."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from capsound_checker.check.judging import Judgement, judge
from capsound_checker.programs.exhaust import Bounds, shortest
from capsound_checker.programs.watch import patience

FOLDER = Path(__file__).parents[1] / "quality" / "zoo"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "zoo_base")


@cache
def animal(name: str, folder: Path = FOLDER) -> ModuleType:
    """Return the module of one file of a zoo."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(name)


@cache
def judged(name: str, seed: int = 0) -> Judgement:
    """Return what the hunt says of one file.

    A twin is tried at length. A fault is soon found, and what else shows it would only be made smaller.
    """
    programs, enough = (250, 10) if animal(name).ANOMALY is None else (100, 4)
    return judge(animal(name).Target, programs=programs, enough=enough, seed=seed)


def shorter(name: str, steps: int) -> int | None:
    """Return how many steps the shortest counterexample of at most ``steps`` has, by breadth-first search, if any."""
    with patience(0.25):
        found = shortest(animal(name).Target, lambda run: bool(run.wrong()), Bounds(steps=steps, roots=2))
    assert found.complete
    return None if found.program is None else len(found.program)


def faults() -> list[str]:
    return [name for name in NAMES if animal(name).ANOMALY is not None]


def twins() -> list[str]:
    return [name for name in NAMES if animal(name).ANOMALY is None]
