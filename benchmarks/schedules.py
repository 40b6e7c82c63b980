"""How many schedules of asyncio a second: our loop and driver, beside other explorers where they are installed.

The race is that of a counter that is checked, awaits once and is debited, on real ``asyncio.gather`` and
``asyncio.Lock``. Rates are per second of processor time of one core.

    python benchmarks/schedules.py [--seconds 1.0] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import math
import platform
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from capsound_checker.programs.watch import held
from capsound_checker.schedules.agents import Call, Program
from capsound_checker.schedules.asynchronous import explore
from capsound_checker.schedules.concurrency import run
from capsound_checker.schedules.eventloop import new_loop
from capsound_checker.schedules.interleave import Exhaustive, coroutines, every
from capsound_checker.schedules.remembering import Memory

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "quality" / "zoo"), str(TESTS / "support")]

COST, CAP = 60, 100
Body = Callable[["Shared"], Coroutine[Any, Any, None]]


class Shared:
    """A budget without a guard."""

    def __init__(self) -> None:
        self.spent = 0
        self.lock = asyncio.Lock()


async def racy(it: Shared) -> None:
    if it.spent + COST <= CAP:
        await asyncio.sleep(0)
        it.spent += COST


async def sound(it: Shared) -> None:
    if it.spent + COST <= CAP:
        it.spent += COST
        await asyncio.sleep(0)


async def locked(it: Shared) -> None:
    async with it.lock:
        if it.spent + COST <= CAP:
            await asyncio.sleep(0)
            it.spent += COST


async def three_segments(it: Shared) -> None:
    before = it.spent
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    it.spent = before + COST


def bare(body: Body, count: int) -> tuple[int, int]:
    """Run every schedule once; return how many there are, and how many overspend."""
    chooser = Exhaustive(merge=False)
    schedules = over = 0
    while True:
        it = Shared()

        async def main(it: Shared = it) -> None:
            await asyncio.gather(*(body(it) for _ in range(count)))

        new_loop().drive(main(), chooser.pick)
        schedules += 1
        over += it.spent > CAP
        if not chooser.again():
            return schedules, over


def rate(once: Callable[[], int], seconds: float) -> float:
    """Return how many schedules a second of processor time; ``once`` returns how many it has run."""
    once()
    begin, done = process_time(), 0
    while process_time() - begin < seconds:
        done += once()
    return done / (process_time() - begin)


def adapter(name: str) -> Any:
    """Return a class of the zoo, or of the adapters over the reference."""
    module, _, cls = name.partition(":")
    return getattr(importlib.import_module(module), cls or "Target")


def monitored(name: str, count: int) -> Callable[[], int]:
    """Return what runs every schedule of so many agents, with events and monitor."""
    program, memory, target = Program(3, ((Call(2, 2),),) * count), Memory(), adapter(name)

    def once() -> int:
        with held():
            *_, (_, _, far) = every(lambda chooser: run(target, program, chooser, memory=memory), merge=False)
        return far.schedules

    return once


def ours(seconds: float) -> Iterator[dict[str, Any]]:
    for body in (racy, sound, locked):
        for count in (2, 3):
            schedules, over = bare(body, count)
            per = rate(lambda body=body, count=count: bare(body, count)[0], seconds)  # type: ignore[misc]
            yield {"what": f"loop: {body.__name__}, {count} tasks", "schedules": schedules, "over": over, "rate": per}
    for name in ("call_checked_before_written_after_await", "reference_adapter:CallAdapter"):
        for count in (2, 3):
            per = rate(monitored(name, count), seconds)
            yield {"what": f"events and monitor: {name.partition(':')[0]}, {count} agents", "rate": per}


def reduction() -> Iterator[dict[str, Any]]:
    def make() -> tuple[Shared, list[Coroutine[Any, Any, None]]]:
        it = Shared()
        return it, [three_segments(it) for _ in range(4)]

    yield {"what": "four tasks of three segments: all", "schedules": math.factorial(12) // math.factorial(3) ** 4}
    for words, alike in (("states merged", False), ("and tasks interchangeable", True)):
        *_, (_, _, far) = coroutines(make, alike=alike)
        yield {"what": f"four tasks of three segments: {words}", "schedules": far.schedules, "complete": far.complete}


def answers() -> Iterator[dict[str, Any]]:
    begin = perf_counter()
    said = explore(adapter("call_checked_before_written_after_await"), seconds=10)
    first = said.first.anomaly if said.first is not None else "nothing"
    yield {"what": f"racy counter: {first}, made small", "seconds": perf_counter() - begin}
    three = Program(4, ((Call(2, 1), Call(2, 1)),) * 3)
    for name in ("reference_adapter:CallAdapter", "lock_released_on_cancel"):
        begin = perf_counter()
        said = explore(adapter(name), seconds=30, scope=(three,))
        words = f"3 agents with 2 calls: {name.partition(':')[0]}"
        row = {"what": words, "schedules": said.schedules, "complete": said.complete}
        yield row | {"seconds": perf_counter() - begin}


def detangle(seconds: float) -> Iterator[dict[str, Any]]:
    """Detangle, depth first, as ``ours``."""
    library: Any = importlib.import_module("detangle")
    for body in (sound, locked):
        for count in (2, 3):

            async def main(body: Body = body, count: int = count) -> None:
                it = Shared()
                await asyncio.gather(*(body(it) for _ in range(count)))
                assert it.spent <= CAP

            def once(main: Any = main) -> int:
                stats = library.explore(main, strategy=library.strategies.DFS(), runs=100_000, database=False)
                return int(stats.runs)

            per = rate(once, seconds)
            yield {"what": f"detangle: {body.__name__}, {count} tasks", "schedules": once(), "rate": per}


def frontrun(seconds: float) -> Iterator[dict[str, Any]]:
    """Frontrun's partial-order reduction for asyncio: its count is lower because it leaves out what is equivalent."""
    library: Any = importlib.import_module("frontrun")
    for count in (2, 3):

        def once(count: int = count) -> int:
            search = library.explore(setup=Shared, workers=[sound] * count, invariant=lambda it: it.spent <= CAP)
            return int(asyncio.run(search).num_explored)

        yield {"what": f"frontrun: sound, {count} tasks", "schedules": once(), "rate": rate(once, seconds)}


def others(seconds: float) -> Iterator[dict[str, Any]]:
    for library in (detangle, frontrun):
        try:
            yield from library(seconds)
        except ImportError:
            yield {"what": f"{library.__name__}: not installed"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=1.0, help="of processor time for each rate")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = [*ours(asked.seconds), *reduction(), *answers(), *others(asked.seconds)]
    if asked.json:
        print(json.dumps({"python": platform.python_version(), "rows": rows}, indent=2))
        return
    for row in rows:
        told = [f"{row['rate']:,.0f} a second" if "rate" in row else ""]
        told += [f"{row['schedules']:,} schedules" if "schedules" in row else ""]
        told += [f"{row['over']} over the cap" if "over" in row else ""]
        told += ["complete" if row.get("complete") else "", f"{row['seconds']:.2f} s" if "seconds" in row else ""]
        print(f"{row['what']:<72} {', '.join(filter(None, told))}")


if __name__ == "__main__":
    main()
