"""Scenario files for the tests of the command line, and checks that are done once for all that ask something of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capsound_checker.check import checking
from capsound_checker.check.plan import Plan
from capsound_checker.check.results import Checked

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "scenarios"
OWN = Path(__file__).resolve().parent / "scenarios"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the golden scenarios, in which commands run whose results are shared."""
    return GOLDEN


@pytest.fixture(scope="session")
def source() -> dict[str, str]:
    """Return the text of every scenario of the tests, by the name of its file without ``.toml``."""
    return {path.stem: path.read_text(encoding="utf-8") for folder in (GOLDEN, OWN) for path in folder.glob("*.toml")}


PATIENT = 3_600.0
"""Seconds that a check gets where none are asked for: on a busy machine it takes its time, and finds the same."""


@pytest.fixture(scope="module")
def check_once() -> Iterator[None]:
    """Let ``capsound check`` in this process do the same check of the same files once for all tests of a module.

    What is required of a target decides the status, and nothing that is done: it is told of the same check.
    """
    usual, known = Plan("").seconds, dict[object, Checked]()
    work: Callable[..., Checked] = checking.check

    def once(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Checked:
        if plan.seconds == usual:
            plan = replace(plan, seconds=PATIENT)
        file = Path(plan.target.rpartition(":")[0])
        text = file.read_bytes() if file.is_file() else b""
        key = replace(plan, require=Plan("").require), text, Path.cwd()
        if key not in known:
            known[key] = work(plan, progress)
        return replace(known[key], plan=plan)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "check", once)
        yield


@pytest.fixture(scope="module")
def workers(process_env: dict[str, str]) -> Iterator[Any]:
    """Two processes of a cluster."""
    distributed = pytest.importorskip("distributed")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as running:
            yield running
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
