"""What ceilings and windows cost `solve`: CPU seconds of one ceiling, of three, and of scenarios without any.

    python benchmarks/ceilings.py [--rounds 5] [--json]
    python benchmarks/ceilings.py --against OTHER/bin/capsound

Each figure is the median of the user and system time of processes of their own, their start included; the cases take
turns, so that load on the machine hits all of them. ``--against`` runs the cases without ceilings with another build
in the same turns. The targets: three ceilings with a daily window and 1,000 agents are proved in under 3 s, and in at
most twice the time of one; scenarios without ceilings take at most 5 % longer than with the build before them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

CALL = "[[calls]]\nestimate = { max = 31 }\nbill = { max = 23 }\n"
AGENTS = '[[agents]]\nname = "worker"\ncount = 1000\ncalls = 2\n'


def ceilings(number: int) -> str:
    """Return a scenario of 1,000 agents under so many ceilings, the root included, each with a daily window."""
    names = ["session", "user", "team"][3 - number + 1 :] if number > 1 else []
    parts = ["cap = 100000", 'window = "day"', 'discipline = "reserve-settle"']
    for place, name in enumerate(names):
        parent = names[place + 1] if place + 1 < len(names) else "root"
        cap = 1000 * (place + 1)
        parts.append(f'[[ceilings]]\nname = "{name}"\nparent = "{parent}"\ncap = {cap}\nwindow = "day"')
    account = f'account = "{names[0]}"\n' if names else ""
    return "\n".join([*parts, AGENTS + account, CALL])


def plain(discipline: str, count: int) -> str:
    """Return a scenario without ceilings and windows."""
    return "\n".join(["cap = 60", f'discipline = "{discipline}"', AGENTS.replace("1000", str(count)), CALL])


CASES = {
    "one ceiling, daily, 1,000 agents": ceilings(1),
    "two ceilings, daily, 1,000 agents": ceilings(2),
    "three ceilings, daily, 1,000 agents": ceilings(3),
}
WITHOUT = {
    "no window, reserve-settle, 1,000 agents": plain("reserve-settle", 1000),
    "no window, racy-counter, 3 agents": plain("racy-counter", 3),
    "no window, settle-capped, 1,000 agents": plain("settle-capped", 1000),
}


def seconds(command: list[str], file: Path) -> tuple[float, int]:
    """Return the CPU seconds of one run, and its status."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = subprocess.run([*command, "solve", str(file)], stdout=subprocess.DEVNULL, check=False).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, status


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", help="the command of another build, for the cases without ceilings")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    here = [sys.executable, "-m", "capsound_checker"]
    runs = [(name, "here", here, text) for name, text in {**CASES, **WITHOUT}.items()]
    if asked.against:
        runs += [(name, "against", [asked.against], text) for name, text in WITHOUT.items()]
    times: dict[tuple[str, str], list[float]] = {}
    statuses: dict[tuple[str, str], int] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scenario.toml"
        for _ in range(asked.rounds):
            for name, who, command, text in runs:
                file.write_text(text, encoding="utf-8")
                took, statuses[name, who] = seconds(command, file)
                times.setdefault((name, who), []).append(took)
    rows = [
        {"case": name, "build": who, "seconds": round(median(took), 2), "status": statuses[name, who]}
        for (name, who), took in times.items()
    ]
    if asked.json:
        print(json.dumps({"rounds": asked.rounds, "rows": rows}, indent=2))
        return
    for row in rows:
        print(f"{row['case']:42} {row['build']:8} {row['seconds']:7.2f} s   status {row['status']}")
    for name in WITHOUT if asked.against else ():
        pairs = zip(times[name, "here"], times[name, "against"], strict=True)
        print(f"{name:42} {median(mine / theirs for mine, theirs in pairs):.3f} times the other build")


if __name__ == "__main__":
    main()
