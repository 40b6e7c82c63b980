"""Two builds of ``solve`` on the same scenarios: CPU seconds of a whole process, both in turn, medians.

    python benchmarks/solve_builds.py --against OTHER/bin/capsound [--rounds 5] [--json] [SCENARIO ...]

Without scenarios: race A, race A with 1000 agents, race B, slices three deep, and the folder of all shipped scenarios.
Compile both builds before (``python -m compileall``): a Python that may not write its bytecode compiles in every run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
NAMES = ("race-a-racy-counter", "race-a-1000-agents", "race-b-reserve-settle", "delegation-three-deep")


def seconds(build: str, path: Path) -> float:
    """Return the CPU seconds of one run, its children included."""
    process = subprocess.Popen([build, "solve", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1, 2):
        raise SystemExit(f"{build} solve {path}: status {process.returncode}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(Path(sys.executable).with_name("capsound")))
    parser.add_argument("--against", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("scenarios", nargs="*", type=Path)
    asked = parser.parse_args()
    told = []
    for path in asked.scenarios or [*(FOLDER / f"{name}.toml" for name in NAMES), FOLDER]:
        runs: tuple[list[float], list[float]] = [], []
        for _ in range(asked.rounds):
            for kept, build in zip(runs, (asked.against, asked.build), strict=True):
                kept.append(seconds(build, path))
        before, now = map(median, runs)
        told.append({"scenario": path.name, "before_s": round(before, 2), "now_s": round(now, 2)})
        if not asked.as_json:
            print(f"{path.name:<44} before {before:7.2f} s  now {now:7.2f} s  {now / before:5.2f}x", flush=True)
    if asked.as_json:
        print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
