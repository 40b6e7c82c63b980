"""A long log on a Dask cluster of two workers, one of which is killed in the middle, against one process.

    python benchmarks/audit_cluster.py [--events 20000000] [--roots 200] [--workers 2] [--folder DIR]

The log is written to a temporary folder first (62 bytes an event). Both reports have to be the same; what is printed is
how long each took, and the most that was resident in each process.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit_rate import write_log

from capsound_checker.audit.asking import Asked
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.cluster import Tasks, reached
from capsound_checker.audit.joining import joined
from capsound_checker.audit.logreading import open_log
from capsound_checker.intake.lines import Lines, in_blocks


def peaks(cluster: Any) -> dict[int, float]:
    """Return the most that was resident in each worker so far, in MiB."""
    out = {}
    for one in cluster.workers.values():
        status = Path(f"/proc/{one.process.pid}/status")
        for line in status.read_text().splitlines() if status.exists() else ():
            if line.startswith("VmHWM"):
                out[one.process.pid] = int(line.split()[1]) / 1024
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--roots", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    import distributed

    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "log.jsonl"
        count = write_log(path, asked.events, 0, asked.roots)
        print(f"{count:,} events in {asked.roots} roots, {path.stat().st_size / 2**20:,.0f} MiB")
        begin, used = time.perf_counter(), time.process_time()
        with open_log(path) as lines:
            alone = audit(lines, name="log")
        print(
            f"one process: {time.process_time() - used:.1f} s of a processor, {time.perf_counter() - begin:.1f} s by "
            f"the clock, at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
        )
        with distributed.LocalCluster(n_workers=asked.workers, threads_per_worker=1, dashboard_address=None) as cluster:
            seen: dict[int, float] = {}

            def source() -> Iterator[bytes | list[str]]:
                number = 0
                with open_log(path) as lines:
                    for block in in_blocks(lines).blocks():
                        before, number = (
                            number,
                            number + (block.count(b"\n") if isinstance(block, bytes) else len(block)),
                        )
                        if before < count // 2 <= number:
                            seen.update(peaks(cluster))
                            victim = next(iter(cluster.workers.values())).process.pid
                            os.kill(victim, signal.SIGKILL)
                            print(f"killed worker {victim} at line {count // 2:,}")
                        yield block

            begin, used = time.perf_counter(), time.process_time()
            with reached(cluster.scheduler_address) as there:
                wanted = Asked("log")
                told = joined(Lines(source()), wanted, Tasks(there, wanted, there.size))
            spent = time.perf_counter() - begin
            seen.update(peaks(cluster))
        print(
            f"cluster of {asked.workers}: {time.process_time() - used:.1f} s of a processor here, {spent:.1f} s by the "
            f"clock; at most {', '.join(f'{peak:.0f}' for peak in seen.values())} MiB in the workers"
        )
        same = told.data() == alone.data()
        print("the reports are the same" if same else "THE REPORTS DIFFER")
        sys.exit(not same)


if __name__ == "__main__":
    main()
