"""How `solve` grows with a scenario: CPU seconds, peak memory and verdict, as one thing in it grows.

    python benchmarks/solve_growth.py [--only WORD] [--rounds 1] [--ceiling 300] [--json]
    python benchmarks/solve_growth.py --against OTHER/bin/capsound

Each figure is from a process of its own: user and system time of it and its children, and the most that was resident.
With several rounds it is the median. With ``--against`` the two builds take turns, so that load on the machine
hits both. A run beyond the ceiling is killed, and counts as that many seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

CALL = '[[calls]]\nname = "work"\nestimate = { max = 31 }\nbill = { max = 23 }\n'
OVERRUN = '[[calls]]\nname = "work"\nestimate = 31\nbill = { max = 46 }\n'
SHORT = '[assume]\nA1 = false\nshortfall = "3/2"\n'
VERDICTS = {0: "sound", 1: "violated", 2: "unknown", 70: "our bug", 65: "bad input"}


def scenario(cap: int, discipline: str, *parts: str) -> str:
    return "\n".join([f"cap = {cap}", f'discipline = "{discipline}"', *parts])


def agents(name: str = "worker", **keys: object) -> str:
    said = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[[agents]]", f'name = "{name}"', *said, ""])


# --------------------------------------------------------------------------------------- what grows


def calls_of_one_agent(size: int) -> str:
    return scenario(100, "racy-counter", agents(calls=size), CALL)


def accounts_of_their_own(size: int) -> str:
    return scenario(60 * size, "racy-counter", agents(count=size, calls=3, slice=50), CALL)


def accounts_of_their_own_overrun(size: int) -> str:
    return scenario(60 * size, "split-and-return", agents(count=size, calls=2, slice=50), OVERRUN, SHORT)


def depth(size: int) -> str:
    slices = [
        f'[[slices]]\nname = "s{n}"\nparent = "{f"s{n - 1}" if n else "root"}"\ngrant = {60 + size - n}\n'
        for n in range(size)
    ]
    return scenario(60 + size, "racy-counter", *slices, agents(count=3, account=f"s{size - 1}"), CALL)


def overruns_in_slices(size: int) -> str:
    slices = [
        f'[[slices]]\nname = "s{n}"\nparent = "{f"s{n - 1}" if n else "root"}"\ngrant = 60\n' for n in range(size)
    ]
    people = agents(count=3, calls=2, account=f"s{size - 1}")
    return scenario(60, "reserve-settle", *slices, people, OVERRUN, SHORT)


def slices_side_by_side(size: int) -> str:
    slices = [f'[[slices]]\nname = "s{n}"\ngrant = 60\n' for n in range(size)]
    people = [agents(f"worker{n}", count=3, account=f"s{n}") for n in range(size)]
    return scenario(60 * size, "racy-counter", *slices, *people, CALL)


def kinds_of_calls(size: int) -> str:
    people = [agents(f"worker{n}", count=3, calls=2, call=f"work{n}") for n in range(size)]
    kinds = [f'[[calls]]\nname = "work{n}"\nestimate = {31 + n}\nbill = {{ max = {46 + n} }}\n' for n in range(size)]
    return scenario(100, "reserve-settle", *people, *kinds, SHORT)


def chunks_of_a_stream(size: int) -> str:
    kind = f'[[calls]]\nname = "work"\nchunk = 10\nchunks = {size}\n'
    return scenario(50, "stream-extend", agents(count=2), kind)


def calls_with_overruns(size: int) -> str:
    return scenario(100, "reserve-settle", agents(count=3, calls=size), OVERRUN, SHORT)


def steps_of_a_program(size: int) -> str:
    lines = ["delegate root 40 -> h0"]
    while len(lines) + 1 < size:
        lines.append(f"call h{len(lines) - 1} -> h{len(lines)}")
    lines.append(f"close h{len(lines) - 1}")
    return scenario(60, "split-and-return", agents(count=2, program=lines), CALL)


@dataclass(frozen=True, slots=True)
class Growth:
    """What grows, through which sizes, and what a run should take at most (CPU seconds)."""

    name: str
    sizes: tuple[int, ...]
    made: Callable[[int], str]
    wanted: float


GROWTHS = (
    Growth("calls of one agent under a counter", (1, 5, 10, 20), calls_of_one_agent, 2),
    Growth("an account of its own for each agent", (1, 2, 4, 64, 1000), accounts_of_their_own, 2),
    Growth("the same, bills above their holds", (1, 2, 4, 64), accounts_of_their_own_overrun, 5),
    Growth("racy counter in slices, depth", (1, 4, 8, 12), depth, 5),
    Growth("overruns charged in slices, depth", (1, 4, 8, 12), overruns_in_slices, 5),
    Growth("slices side by side, racy", (1, 10, 39, 200), slices_side_by_side, 5),
    Growth("kinds of calls", (1, 4, 8), kinds_of_calls, 3),
    Growth("chunks of a stream", (2, 4, 50), chunks_of_a_stream, 2),
    Growth("calls with overruns", (1, 10, 50), calls_with_overruns, 3),
    Growth("steps of a program", (2, 12, 20), steps_of_a_program, 3),
)
MEMORY = 300
"""What a run should have resident at most, in MiB."""


# ---------------------------------------------------------------------------------------- measuring


@dataclass(frozen=True, slots=True)
class Run:
    """CPU seconds, the most that was resident in MiB, and the verdict."""

    seconds: float
    memory: float
    verdict: str


def measured(build: str, path: Path, ceiling: float) -> Run:
    """Run one build on one scenario."""
    command = [build, "solve", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    killer = threading.Timer(ceiling, os.killpg, (process.pid, signal.SIGKILL))
    killer.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        killer.cancel()
    code = process.returncode = os.waitstatus_to_exitcode(status)
    if code < 0:
        # What it had taken by then is not told of processes that it had started itself.
        return Run(ceiling, used.ru_maxrss / 1024, "killed")
    verdict = VERDICTS.get(code, f"status {code}")
    return Run(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, verdict)


def together(runs: list[Run]) -> Run:
    """Return the medians of several runs, and every verdict that they had."""
    verdicts = "/".join(dict.fromkeys(run.verdict for run in runs))
    return Run(median(run.seconds for run in runs), median(run.memory for run in runs), verdicts)


def rows(
    builds: dict[str, str], only: str, rounds: int, ceiling: float
) -> Iterator[tuple[Growth, int, dict[str, Run]]]:
    """Yield every size of everything that grows, with what each build took."""
    with tempfile.TemporaryDirectory() as folder:
        for growth in GROWTHS:
            if only not in growth.name:
                continue
            for size in growth.sizes:
                path = Path(folder) / f"{size}.toml"
                path.write_text(growth.made(size), encoding="utf-8")
                runs: dict[str, list[Run]] = {name: [] for name in builds}
                for _ in range(rounds):
                    for name, build in builds.items():
                        runs[name].append(measured(build, path, ceiling))
                yield growth, size, {name: together(found) for name, found in runs.items()}


def _good(growth: Growth, run: Run) -> bool:
    return run.seconds <= growth.wanted and run.memory <= MEMORY and run.verdict in ("sound", "violated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = str(Path(sys.executable).with_name("capsound"))
    parser.add_argument("--build", default=here, help="the command to measure")
    parser.add_argument("--against", help="another build to measure in turn")
    parser.add_argument("--only", default="", help="only what grows with this word in its name")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ceiling", type=float, default=300, help="seconds after which a run is killed")
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    builds = {"this": asked.build} | ({"other": asked.against} if asked.against else {})
    told = []
    for growth, size, runs in rows(builds, asked.only, asked.rounds, asked.ceiling):
        found = {
            name: {"cpu_s": round(run.seconds, 2), "mib": round(run.memory), "verdict": run.verdict}
            for name, run in runs.items()
        }
        told.append({"grows": growth.name, "size": size, "wanted_s": growth.wanted, **found})
        if not asked.as_json:
            figures = "  ".join(f"{r.seconds:8.2f} s {r.memory:5.0f} MiB {r.verdict:<9}" for r in runs.values())
            mine = runs["this"]
            good = mine.seconds <= growth.wanted and mine.memory <= MEMORY and mine.verdict in ("sound", "violated")
            print(
                f"{growth.name:<40}{size:>5}  {figures}  {'' if good else f'(wanted: {growth.wanted:g} s)'}", flush=True
            )
    if asked.as_json:
        print(json.dumps({"python": sys.version.split()[0], "rows": told}, indent=2))


if __name__ == "__main__":
    main()
