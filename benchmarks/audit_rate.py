"""How fast a log is audited, and in how much memory, beside an older build and the bare cost of decoding its lines.

    python benchmarks/audit_rate.py [--events 1000000] [--roots 200] [--rounds 3] [--old CHECKOUT] [--json]

The log is written to a temporary file first: calls of 64 agents that overlap, with their bills. Each figure is the
median over the rounds, in a process of its own; the cases take turns within a round. Seconds are those of processors,
of children too: on a busy machine they say more than the clock. Memory is the most that was resident in one process,
start of Python included. ``--old`` is a checkout of another build: its audit runs in the same turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("model", "proofs", "reference_impl", "checker")

AUDITED = """from capsound_checker.audit.auditing import audit
from capsound_checker.audit.logreading import open_log
with open_log(sys.argv[1]) as lines: told = audit(lines{how})
assert told.events == count, told.events"""
DIVIDED = """from capsound_checker.audit.logreading import open_log
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.teams import audit_by
with open_log(sys.argv[1]) as lines: told = audit_by(lines, Asked("log"), None, workers=2)
assert told.events == count, told.events"""
CASES = {
    "lines": "for line in log: pass",
    "json": "import json\nfor line in log: json.loads(line)",
    "orjson": "import orjson\nfor line in log: orjson.loads(line)",
    "msgspec": "import msgspec\nread = msgspec.json.Decoder().decode\nfor line in log: read(line)",
    "msgspec, many": "import msgspec\nread = msgspec.json.Decoder().decode_lines\n"
    "while lines := log.readlines(1 << 16): read(b''.join(lines))",
    "audit": AUDITED.format(how=""),
    "readable": AUDITED.format(how=", fast=False"),
    "two workers": DIVIDED,
}
RUN = """
import resource, sys, time
count = int(sys.argv[2])
def used():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)
begin, clock = used(), time.perf_counter()
with open(sys.argv[1], "rb") as log:
{body}
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
one = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(used() - begin, time.perf_counter() - clock, peak, one[1].ru_utime + one[1].ru_stime)
"""


def write_log(path: Path, events: int, seed: int, roots: int = 1) -> int:
    """Write about ``events`` events; return how many."""
    rnd = random.Random(seed)
    in_flight: list[tuple[int, int]] = []
    calls = 0
    written = roots
    with path.open("w", encoding="utf-8") as out:
        for root in range(roots):
            out.write(f'{{"event": "open", "root": "root{root}", "cap": {20 * events}}}\n')
        while written < events:
            if len(in_flight) < 64 and rnd.random() < 0.5:
                calls += 1
                amount = 10 + int(90 * rnd.random())
                bill = 1 + int(amount * rnd.random())
                root = int(roots * rnd.random())
                out.write(
                    f'{{"event": "reserve", "account": "root{root}", "hold": "h{calls}", "amount": {amount}, '
                    f'"agent": "a{calls % 64}"}}\n{{"event": "send", "hold": "h{calls}", "call": "c{calls}"}}\n'
                    f'{{"event": "bill", "call": "c{calls}", "amount": {bill}}}\n'
                )
                in_flight.append((calls, bill))
                written += 3
            elif in_flight:
                call, bill = in_flight.pop(int(len(in_flight) * rnd.random()))
                out.write(f'{{"event": "settle", "hold": "h{call}", "amount": {bill}}}\n')
                written += 1
    return written


def timed(path: Path, body: str, count: int, build: Path) -> tuple[float, float, float, float]:
    """Return seconds of processors and of the clock, resident MiB, and seconds of children, of one run with a build."""
    program = RUN.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*(str(build / one) for one in SOURCES), *sys.path[1:]])}
    command = [sys.executable, "-c", program, str(path), str(count)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.split()
    return float(said[0]), float(said[1]), int(said[2]) / 1024, float(said[3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--roots", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--old", type=Path, help="a checkout of an older build")
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    cases = {name: (body, ROOT) for name, body in CASES.items() if name != "orjson" or importlib.util.find_spec(name)}
    if importlib.util.find_spec("msgspec") is None:
        cases = {name: case for name, case in cases.items() if not name.startswith("msgspec")}
    if asked.old is not None:
        cases["old audit"] = (CASES["audit"], asked.old)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for events in (asked.events // 10, asked.events):
            path = Path(folder) / f"{events}.jsonl"
            count = write_log(path, events, asked.seed, asked.roots)
            runs: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in cases}
            for _ in range(asked.rounds):
                for name, (body, build) in cases.items():
                    runs[name].append(timed(path, body, count, build))
            for name, figures in runs.items():
                cpu, clock, memory, children = (round(median(one[n] for one in figures), 3) for n in range(4))
                row: dict[str, float | str] = {
                    "events": count,
                    "case": name,
                    "seconds": cpu,
                    "clock": clock,
                    "MiB": round(memory, 1),
                }
                rows.append(row | {"in workers": children})
    if asked.as_json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'events':>9}  {'case':14} {'seconds':>8} {'clock':>8} {'events/s':>10} {'MiB':>6} {'workers':>8}")
    for row in rows:
        rate = int(row["events"]) / max(1e-9, float(row["seconds"]))
        place = f"{row['events']:>9,}  {row['case']:14} {row['seconds']:>8} {row['clock']:>8}"
        print(f"{place} {rate:>10,.0f} {row['MiB']:>6} {row['in workers']:>8}")


if __name__ == "__main__":
    main()
