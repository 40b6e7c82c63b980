"""What a reservation costs: the reference budget beside a bare counter under a lock, in one run.

The counter is the least that keeps a cap for threads: one lock, one comparison, one addition. It has no holds that
can be told apart, no slices, no error that says anything, and a second ``settle`` or a negative amount goes through.

    python benchmarks/reserve_settle.py [--rounds 21] [--pairs 20000] [--json]
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
from collections.abc import Callable
from statistics import median
from threading import Lock
from time import perf_counter

from capsound_reference import Budget

CAP = 10**12


class Counter:
    """The yardstick."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.spent = 0
        self.lock = Lock()

    def reserve(self, amount: int) -> None:
        with self.lock:
            if self.spent + amount > self.cap:
                raise ValueError(amount)
            self.spent += amount

    def settle(self, amount: int, actual: int) -> None:
        with self.lock:
            self.spent += actual - amount


def counter(pairs: int) -> None:
    it = Counter(CAP)
    for _ in range(pairs):
        it.reserve(31)
        it.settle(31, 23)


def reserve_settle(pairs: int) -> None:
    it = Budget(CAP)
    for _ in range(pairs):
        it.reserve(31).settle(23)


def reserve_sent_settle(pairs: int) -> None:
    it = Budget(CAP)
    for _ in range(pairs):
        hold = it.reserve(31)
        hold.sent()
        hold.settle(23)


def call(pairs: int) -> None:
    it = Budget(CAP)
    for _ in range(pairs):
        with it.call(31) as hold:
            hold.sent()
            hold.settle(23)


def journaled(pairs: int) -> None:
    it = Budget(CAP, journal=len)  # takes the line and does nothing with it
    for _ in range(pairs):
        it.reserve(31).settle(23)


CASES: dict[str, Callable[[int], None]] = {
    "bare counter: reserve, settle": counter,
    "budget: reserve, settle": reserve_settle,
    "budget: reserve, sent, settle": reserve_sent_settle,
    "budget: with call, sent, settle": call,
    "budget: reserve, settle, journal": journaled,
}


def measure(rounds: int, pairs: int) -> dict[str, list[float]]:
    """Return nanoseconds a pair, round by round; every round runs all cases, so that a slow spell hits them all."""
    took: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, run in CASES.items():
            gc.collect()
            start = perf_counter()
            run(pairs)
            took[name].append((perf_counter() - start) / pairs * 1e9)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    args = parser.parse_args()
    for run in CASES.values():  # let the interpreter specialise the code first
        run(2_000)
    took = measure(args.rounds, args.pairs)
    base = took[next(iter(CASES))]
    rows = [
        # The ratio is taken within each round: what slows the machine down slows both sides down.
        {"case": name, "ns": round(median(times)), "ratio": round(median(map(_ratio, times, base)), 2)}
        for name, times in took.items()
    ]
    if args.json:
        python = f"{platform.python_implementation()} {platform.python_version()}"
        print(json.dumps({"python": python, "rounds": args.rounds, "pairs": args.pairs, "cases": rows}, indent=2))
        return
    print(f"{'median of ' + str(args.rounds) + ' rounds':34} {'ns':>7} {'ratio':>7}")
    for row in rows:
        print(f"{row['case']:34} {row['ns']:>7} {row['ratio']:>7.2f}")


def _ratio(time: float, base: float) -> float:
    return time / base


if __name__ == "__main__":
    main()
