"""How fast a log is audited, and in how much memory, beside reading its lines and beside `json.loads` alone.

    python benchmarks/audit_rate.py [--events 1000000] [--rounds 3] [--seed 0] [--json]

The log is written to a temporary file first: calls of 64 agents that overlap, with their bills. Each figure is the
median over the rounds, in a process of its own; memory is the most that was resident, start of Python included.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

LINES = "for line in log: pass"
PARSED = "import json\nfor line in log: json.loads(line)"
AUDITED = (
    "from capsound_checker.audit.auditing import audit\ntold = audit(log)\nassert told.events == count, told.events"
)
RUN = """
import resource, sys, time
count = int(sys.argv[2])
begin = time.perf_counter()
with open(sys.argv[1], encoding="utf-8") as log:
{body}
print(time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
CASES = {"lines": LINES, "json.loads": PARSED, "audit": AUDITED}


def write_log(path: Path, events: int, seed: int) -> int:
    """Write about ``events`` events; return how many."""
    rnd = random.Random(seed)
    in_flight: list[tuple[int, int]] = []
    written = calls = 0
    with path.open("w", encoding="utf-8") as out:

        def write(**event: object) -> None:
            nonlocal written
            written += 1
            out.write(json.dumps(event) + "\n")

        write(event="open", root="root", cap=20 * events)
        while written < events:
            if len(in_flight) < 64 and rnd.random() < 0.5:
                calls += 1
                amount = rnd.randrange(10, 100)
                bill = rnd.randrange(1, amount + 1)
                agent = f"a{calls % 64}"
                write(event="reserve", account="root", hold=f"h{calls}", amount=amount, agent=agent)
                write(event="send", hold=f"h{calls}", call=f"c{calls}")
                write(event="bill", call=f"c{calls}", amount=bill)
                in_flight.append((calls, bill))
            elif in_flight:
                call, bill = in_flight.pop(rnd.randrange(len(in_flight)))
                write(event="settle", hold=f"h{call}", amount=bill)
    return written


def timed(path: Path, body: str, count: int) -> tuple[float, float]:
    """Return seconds and resident MiB of one run."""
    program = RUN.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    command = [sys.executable, "-c", program, str(path), str(count)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(said[0]), int(said[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for events in (asked.events // 10, asked.events):
            path = Path(folder) / f"{events}.jsonl"
            count = write_log(path, events, asked.seed)
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
            for _ in range(asked.rounds):
                for name, body in CASES.items():
                    runs[name].append(timed(path, body, count))
            for name, figures in runs.items():
                seconds, memory = median(f[0] for f in figures), median(f[1] for f in figures)
                rows.append({"events": count, "case": name, "seconds": round(seconds, 3), "MiB": round(memory, 1)})
    if asked.as_json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'events':>9}  {'case':12} {'seconds':>8} {'events/s':>10} {'MiB':>6}")
    for row in rows:
        rate = int(row["events"]) / max(1e-9, float(row["seconds"]))
        print(f"{row['events']:>9,}  {row['case']:12} {row['seconds']:>8} {rate:>10,.0f} {row['MiB']:>6}")


if __name__ == "__main__":
    main()
