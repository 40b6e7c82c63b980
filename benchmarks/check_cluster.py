"""How evenly the jobs of one check lie on workers: processor time of each job, and the longest that one worker has.

    python benchmarks/check_cluster.py TARGET [--programs 20000] [--workers 2] [--clock [--rounds 1]]

Every job is done once, alone, in a process of its own, and its processor time is read. The jobs are then dealt out as a
cluster does it: each to the worker that is free first. The ratio is the longest worker's time over the time of one
worker for all. With ``--clock``, the whole command is run on a Dask cluster of this machine with one worker, and with
all of them, and the ratio is of times by the clock: on a machine that others use it says little.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

from capsound_checker.check.checking import in_turns, planned
from capsound_checker.check.children import describe
from capsound_checker.check.hearing import Heard, drive
from capsound_checker.check.plan import Plan


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def by_processor(target: str, programs: int, count: int) -> None:
    """Do every job once, and deal them out."""
    plan = Plan(target, programs=programs, seconds=86_400.0)
    workers = [0.0] * count
    for one in in_turns([Heard(job) for job in planned(plan, describe(plan))], count):
        before = children()
        drive(plan, one, plan.seconds, progress=lambda _: None, stop=threading.Event(), forking=None)
        used = children() - before
        workers[workers.index(min(workers))] += used
        print(f"{used:8.1f} s  {one.job['job']} {', '.join(one.job.get('profiles', ()))}", flush=True)
    print(f"{sum(workers):8.1f} s in all, {max(workers):.1f} s for the longest of {count} workers")
    print(f"ratio {max(workers) / sum(workers):.2f}")


def by_the_clock(target: str, programs: int, count: int) -> None:
    """Run the command on a cluster of one worker, and on one of all."""
    from distributed import LocalCluster

    build = Path(sys.executable).with_name("capsound")
    taken: list[float] = []
    told: set[str] = set()
    for workers in (1, count):
        with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
            command = [build, "check", target, "--programs", str(programs), "--budget", "24h"]
            begin = time.perf_counter()
            run = subprocess.run([*command, "--dask", cluster.scheduler_address], capture_output=True, text=True)
            taken.append(time.perf_counter() - begin)
        if run.returncode not in (0, 1, 2):
            raise SystemExit(run.stderr)
        told.add(run.stdout.rpartition(", ")[0])  # all but the seconds
        print(f"{taken[-1]:8.1f} s  {workers} workers", flush=True)
    print(f"ratio {taken[1] / taken[0]:.2f}" + ("" if len(told) == 1 else ", and they say other things"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clock", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    for _ in range(options.rounds):
        measure = by_the_clock if options.clock else by_processor
        measure(options.target, options.programs, options.workers)


if __name__ == "__main__":
    main()
