"""The working tree against any revision, in one run: the processor time of each case, and the ratio (``make bench``).

    python benchmarks/compare.py [--against HEAD] [--rounds 5] [--only WORD ..] [--json]

The other revision is written into a temporary folder. Both builds take turns, and each turn is a process of its own,
so that load on the machine hits both. A figure is user and system time, threads and children included; of a case that
counts something, time per unit. The ratio is the median of those within a round: below 1, the working tree is faster.
A case that the other revision does not know is said to be missing there. Both run on the packages that are installed.
A revision from before the wings (docs/decisions/0020-wings.md) has the same modules in one folder, and is asked there.
"""

from __future__ import annotations

import argparse
import compileall
import io
import json
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
ROOTS = ("model", "proofs", "reference_impl", "checker")
MORE = ("tests/quality/zoo", "tests/support")

COMMAND = "import sys; from capsound_checker.__main__ import main; main(sys.argv[1:])"

SCHEDULES = """
from importlib import import_module
from capsound_checker.programs.watch import held
from capsound_checker.schedules.agents import Call, Program
from capsound_checker.schedules.concurrency import run
from capsound_checker.schedules.interleave import every
from capsound_checker.schedules.remembering import Memory
module, _, cls = {target!r}.partition(":")
target, program = getattr(import_module(module), cls or "Target"), Program(3, ((Call(2, 2),),) * {agents})
def work():
    memory, done = Memory(), 0
    with held():
        for _ in range({times}):
            *_, (_, _, far) = every(lambda chooser: run(target, program, chooser, memory=memory), merge=False)
            done += far.schedules
    return done
"""

LOOP = """
import asyncio
from capsound_checker.schedules.eventloop import new_loop
from capsound_checker.schedules.interleave import Exhaustive
async def body(it):
    if it[0] + 60 <= 100:
        await asyncio.sleep(0)
        it[0] += 60
def once():
    chooser, schedules = Exhaustive(merge=False), 0
    while True:
        it = [0]
        async def main():
            await asyncio.gather(*(body(it) for _ in range(3)))
        new_loop().drive(main(), chooser.pick)
        schedules += 1
        if not chooser.again():
            return schedules
def work():
    return sum(once() for _ in range(100))
"""

DRIVER = """
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.program import PROFILES
from reference_adapter import ReferenceAdapter
def work():
    drivers = [Driver(ReferenceAdapter, profile) for profile in PROFILES.values()]
    drivers = [driver for driver in drivers if driver.fast]
    for driver in drivers:
        assert next(driver.hunt(range(200)), None) is None
    return sum(driver.operations for driver in drivers)
"""

MACHINES = """
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from capsound_checker.programs.machines import Tally, machine
from capsound_checker.programs.program import CONCURRENT
from reference_adapter import ReferenceAdapter
def work():
    tally = Tally()
    how = settings(max_examples=60, stateful_step_count=24, deadline=None, derandomize=True, database=None)
    run_state_machine_as_test(machine(ReferenceAdapter, CONCURRENT, tally=tally), settings=how)
    return tally.steps
"""

THREADS = """
from capsound_checker.schedules.threads import hunt
from reference_adapter import ReferenceAdapter
def work():
    found, schedules = hunt(ReferenceAdapter, most={most})
    assert found is None
    return schedules
"""


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: a command, the whole process of it; or code whose ``work()`` counts what it did."""

    name: str
    command: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of processor time in microseconds, a process or a unit, and of the ratios; None where it did not run."""

    name: str
    unit: str
    now: float | None
    before: float | None
    ratio: float | None


SCENARIO = "scenarios/race-a-racy-counter.toml", "scenarios/race-b-reserve-settle.toml"
CALLS, RACY = "reference_adapter:CallAdapter", "call_checked_before_written_after_await"

CASES = (
    Case("start: an empty Python", code="pass"),
    Case("start: import capsound", code="import capsound"),
    Case("start: capsound --help", ("--help",)),
    Case("start: check, --programs 1", ("check", "benchmarks/trivial.py:Trivial", "--programs", "1")),
    Case("verdict: racy counter of asyncio", ("check", f"tests/quality/zoo/{RACY}.py:Target", "--driver", "asyncio")),
    Case("solve: race A", ("solve", SCENARIO[0])),
    Case("solve: race B", ("solve", SCENARIO[1])),
    Case("schedules: the loop alone, 3 tasks", code=LOOP),
    *(
        Case(
            f"schedules: events and monitor, {word}, {agents} agents",
            code=SCHEDULES.format(target=target, agents=agents, times=times),
        )
        for word, target in (("racy", RACY), ("sound", CALLS))
        for agents, times in ((2, 150), (3, 10))
    ),
    Case("programs: the fast driver", code=DRIVER),
    Case("programs: Hypothesis machines", code=MACHINES),
    Case("threads: schedules", code=THREADS.format(most=2_000)),
)

MEASURED = """
import sys
from pathlib import Path
from time import process_time
import capsound
assert Path({root!r}) in Path(capsound.__file__).parents, f"measured is {{capsound.__file__}}"
{code}
done = work()  # once to be warm
begin, done = process_time(), work()
print((process_time() - begin) / done)
"""


def placed(code: str, root: Path) -> str:
    """Return the code of a case with the modules where the build in ``root`` has them."""
    if (root / "checker/capsound_checker/programs").is_dir():
        return code
    return re.sub(r"capsound_checker\.(?:schedules|programs)\.(\w+)", r"capsound_checker.\1", code).replace(
        "capsound_checker.program ", "capsound_checker.programs "
    )


def measured(case: Case, root: Path) -> tuple[float | None, str]:
    """Run a case on the build in ``root``; return seconds, None if it failed, and for what."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CAPSOUND")}
    paths = [str(root / part) for part in (*ROOTS, *MORE)]
    env |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    counts = bool(case.code) and "def work" in case.code
    asked = placed(case.code, root)
    code = MEASURED.format(root=str(root), code=asked) if counts else asked or COMMAND
    # Targets and scenarios are those of the working tree in both builds: what differs is what works on them.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-c", code, *case.command], cwd=HERE, env=env, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode not in (0, *((1, 2) if case.command else ())):
        return None, "process"
    if counts:
        return float(ran.stdout), "unit"
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "process"


def compared(case: Case, other: Path, rounds: int) -> Row:
    """Measure a case on both builds, which take turns at being first."""
    nows, befores, ratios, unit = [], [], [], "process"
    for number in range(rounds):
        turn = [HERE, other] if number % 2 else [other, HERE]
        took = {root: measured(case, root) for root in turn}
        (now, unit), (before, _) = took[HERE], took[other]
        nows += [now] if now is not None else []
        befores += [before] if before is not None else []
        ratios += [now / before] if now is not None and before else []
    micro = [1_000_000 * median(found) if found else None for found in (nows, befores)]
    return Row(case.name, unit, *micro, median(ratios) if ratios else None)


def written(revision: str, folder: Path) -> None:
    """Write the files of a revision into a folder."""
    packed = subprocess.run(["git", "archive", revision], cwd=HERE, capture_output=True, check=False)
    if packed.returncode:
        raise SystemExit(f"git knows no revision {revision!r}: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


def told(seconds: float | None) -> str:
    """Return microseconds in a unit that can be read."""
    if seconds is None:
        return "missing"
    return f"{seconds / 1000:,.0f} ms" if seconds >= 10_000 else f"{seconds:,.1f} µs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--against", default="HEAD", metavar="REVISION", help="by default HEAD: what is not committed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="cases whose name contains it")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    chosen = [case for case in CASES if not asked.only or any(word in case.name for word in asked.only)]
    if not chosen:
        parser.error(f"no case is called so; the cases: {', '.join(case.name for case in CASES)}")
    with tempfile.TemporaryDirectory(prefix="capsound-bench-") as folder:
        other = Path(folder).resolve()
        written(asked.against, other)
        for build in (HERE, other):  # else that which has been run before has its bytecode, and the other has none
            for root in ROOTS:
                compileall.compile_dir(build / root, quiet=2)
        if not asked.json:
            print(
                f"{'processor time, medians of ' + str(asked.rounds):<48} {'now':>12} {asked.against:>12} {'ratio':>7}"
            )
        rows = []
        for case in chosen:
            row = compared(case, other, asked.rounds)
            rows.append(row)
            if not asked.json:
                ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
                print(f"{row.name:<48} {told(row.now):>12} {told(row.before):>12} {ratio:>7}", flush=True)
        if asked.json:
            print(json.dumps({"against": asked.against, "rows": [asdict(row) for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
