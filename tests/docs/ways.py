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

from capsound_checker.wire.template import app_template

DESK = ROOT / "tests" / "docs" / "desk"

PORT = 48_731
"""Where the gateway of the table listens while its line is made."""

WAYS = (
    ("a design", "[`capsound solve`](docs/solve.md) `scenario.toml`", "solve scenarios/race-a-racy-counter.toml"),
    ("a library", "[`capsound check`](docs/check.md) `my.py:MyBudget`", "check counter_suite.py:Counter --programs 300"),
    ("an application", "[`capsound wire`](docs/wire.md) `--cap 600tokens -- python my_app.py`", "wire --cap 600tokens -- python3 my_app.py racy"),
    ("a gateway", "[`capsound wire`](docs/wire.md#gateways-from-both-ends) `--through URL --cap 600tokens -- my-gateway`", f"wire --through http://127.0.0.1:{PORT}/v1 --cap 600tokens --header X-Session:{{run}} -- python3 small_gateway.py {PORT} racy"),
    ("a log", "[`capsound audit`](docs/audit.md) `log.jsonl`", "audit log.jsonl"),
)  # fmt: skip


@cache
def printed(command: str) -> str:
    """Return one line of a command's output: the first that tells of an overshoot, else the first with the verdict."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Path(folder)
        (desk / "scenarios").symlink_to(ROOT / "scenarios")
        (desk / "my_app.py").write_text(app_template())
        shutil.copy(ROOT / "tests" / "quality" / "wire" / "small_gateway.py", desk)
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
            timeout=900,
        )
    lines = [line.strip() for line in ran.stdout.splitlines()]
    found = [line for line in lines if line.startswith(("overshoot", "check-then-act"))] or [
        line for line in lines if "VIOLATED" in line
    ]
    assert found, f"capsound {command} printed no verdict: {ran.stdout}{ran.stderr}"
    return " ".join(found[0].split())


@fragment
def write_ways(page: Path, argument: str) -> str:
    """What you have, what you run, and what it answers."""
    del page, argument
    rows = [(have, run, f"`{printed(command)}`") for have, run, command in WAYS]
    return table(("you have", "you run", "it answers"), rows)
