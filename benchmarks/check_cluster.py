"""How evenly the jobs of one check lie on workers: processor time of each job, and the longest that one worker has.

    python benchmarks/check_cluster.py TARGET [--programs 20000] [--workers 2]

Every job is done once, alone, in a process of its own, and its processor time is read. The jobs are then dealt out as a
cluster does it: in their order, each to the worker that is free first. Wall time is not measured: on a machine that
others use it says nothing. The ratio is the longest worker's time over the time of one worker for all.
"""

from __future__ import annotations

import argparse
import resource
import threading

from capsound_checker.check.checking import planned
from capsound_checker.check.children import describe
from capsound_checker.check.hearing import Heard, drive
from capsound_checker.check.plan import Plan


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    plan = Plan(options.target, programs=options.programs, seconds=86_400.0)
    workers = [0.0] * options.workers
    for job in planned(plan, describe(plan)):
        before = children()
        one = Heard(job)
        drive(plan, one, plan.seconds, progress=lambda _: None, stop=threading.Event(), forking=None)
        used = children() - before
        workers[workers.index(min(workers))] += used
        print(f"{used:8.1f} s  {job['job']} {', '.join(job.get('profiles', ()))}", flush=True)
    print(f"{sum(workers):8.1f} s in all, {max(workers):.1f} s for the longest of {options.workers} workers")
    print(f"ratio {max(workers) / sum(workers):.2f}")


if __name__ == "__main__":
    main()
