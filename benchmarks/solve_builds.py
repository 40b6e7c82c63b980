"""Two builds of ``solve`` on the same scenarios: CPU seconds of a whole process, both in turn, medians.

    python benchmarks/solve_builds.py --against OTHER/bin/capsound [--rounds 5] [--json] [SCENARIO ...]
    python benchmarks/solve_builds.py --against OTHER/bin/capsound --each scenarios [FOLDER ...]

Without scenarios: race A, race A with 1000 agents, race B, slices three deep, and the folder of all shipped scenarios.
With ``--each`` a folder counts as the files in it. What a build cannot read, because it is older than a key of the
file, is named and not measured. At the end come the files that take more than 1.05 times what they took.
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


SLOWER = 1.05
"""From how many times the seconds of the other build a file is named at the end."""


class NotRead(ValueError):
    """A scenario that a build does not know how to read."""


def seconds(build: str, path: Path) -> float:
    """Return the CPU seconds of one run, its children included; raises ``NotRead`` where the build cannot read it."""
    process = subprocess.Popen([build, "solve", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == 65:
        raise NotRead(f"{build} cannot read {path}")
    if process.returncode not in (0, 1, 2):
        raise SystemExit(f"{build} solve {path}: status {process.returncode}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(Path(sys.executable).with_name("capsound")))
    parser.add_argument("--against", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--each", action="store_true", help="measure every file of a folder by itself")
    parser.add_argument("scenarios", nargs="*", type=Path)
    asked = parser.parse_args()
    paths = asked.scenarios or [*(FOLDER / f"{name}.toml" for name in NAMES), FOLDER]
    if asked.each:
        paths = [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    told: list[dict[str, object]] = []
    slower: list[str] = []
    for path in paths:
        runs: tuple[list[float], list[float]] = [], []
        try:
            for _ in range(asked.rounds):
                for kept, build in zip(runs, (asked.against, asked.build), strict=True):
                    kept.append(seconds(build, path))
        except NotRead as error:
            told.append({"scenario": path.name, "not_read": str(error)})
            print(f"{path.name:<44} not measured: {error}", file=sys.stderr, flush=True)
            continue
        before, now = map(median, runs)
        told.append({"scenario": path.name, "before_s": round(before, 2), "now_s": round(now, 2)})
        line = f"{path.name:<44} before {before:7.2f} s  now {now:7.2f} s  {now / before:5.2f}x"
        slower += [line] if now > before * SLOWER else []
        if not asked.as_json:
            print(line, flush=True)
    if asked.as_json:
        print(json.dumps(told, indent=2))
    else:
        print("\n".join([f"slower than {SLOWER}x: {len(slower)} of {len(told)}", *slower]))


if __name__ == "__main__":
    main()
