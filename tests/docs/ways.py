"""The table of the README: what you have, what you run, and one line of what it really prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from book import ROOT, fragment, table

DESK = ROOT / "tests" / "docs" / "desk"

WAYS = (
    ("a design", "[`capsound solve`](docs/solve.md) `scenario.toml`", "solve scenarios/race-a-racy-counter.toml"),
    ("a library", "[`capsound check`](docs/check.md) `my.py:MyBudget`", "check counter_suite.py:Counter --programs 300"),
    ("an application", "[`capsound check`](docs/asyncio.md) `my_app.py:MyApp`", "check fleet_app.py:Fleet --driver asyncio"),
    ("a gateway", "[`capsound audit`](docs/audit.md) `spans.jsonl --mapping otel-genai --cap 100`", "audit spans.jsonl --mapping otel-genai --cap 100"),
    ("a log", "[`capsound audit`](docs/audit.md) `log.jsonl`", "audit log.jsonl"),
)  # fmt: skip


@cache
def printed(command: str) -> str:
    """Return one line of a command's output: the first that tells of an overshoot, else the first with the verdict."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Path(folder)
        (desk / "scenarios").symlink_to(ROOT / "scenarios")
        for file in DESK.iterdir():
            if file.is_file():
                shutil.copy(file, desk)
        search = os.pathsep.join(str(ROOT / root) for root in ("model", "proofs", "reference_impl", "checker"))
        ran = subprocess.run(
            [sys.executable, "-m", "capsound_checker", *command.split()],
            cwd=desk,
            env={**os.environ, "PYTHONPATH": search, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    lines = [line.strip() for line in ran.stdout.splitlines()]
    found = [line for line in lines if line.startswith("overshoot")] or [line for line in lines if "VIOLATED" in line]
    assert found, f"capsound {command} printed no verdict: {ran.stdout}{ran.stderr}"
    return " ".join(found[0].split())


@fragment
def write_ways(page: Path, argument: str) -> str:
    """What you have, what you run, and what it answers."""
    del page, argument
    rows = [(have, run, f"`{printed(command)}`") for have, run, command in WAYS]
    return table(("you have", "you run", "it answers"), rows)
