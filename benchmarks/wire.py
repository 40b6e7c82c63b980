"""How fast applications are run against the provider on the wire, and how often the same schedule goes another way.

python benchmarks/wire.py [--runs 20] [--json]
python benchmarks/wire.py --python OTHER/bin/python   (with the openai package: adds its racy application)
python benchmarks/wire.py --same 500 --busy 8         (how many of 500 runs differ, beside eight busy loops)
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from capsound_checker.wire.checking import check, replay
from capsound_checker.wire.judge import Judged
from capsound_checker.wire.money import parse_cap
from capsound_checker.wire.running import Limits
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.setting import Setting

APPLICATIONS = Path(__file__).parents[1] / "tests" / "quality" / "wire"

THREADS = """
import http.client, json, os, threading, time
from urllib.parse import urlsplit
url = urlsplit(os.environ["OPENAI_BASE_URL"])
spent = 0
def agent(name):
    global spent
    for step in range(2):
        if spent + 160 > 500:
            return
        time.sleep(0.01 * (name == "eve"))
        link = http.client.HTTPConnection(url.hostname, url.port)
        body = {"model": "gpt-x", "max_tokens": 150, "messages": [{"role": "user", "content": f"{name}, step {step}"}]}
        link.request("POST", url.path + "/chat/completions", json.dumps(body), {"content-type": "application/json"})
        spent += json.loads(link.getresponse().read())["usage"]["total_tokens"]
threads = [threading.Thread(target=agent, args=(name,)) for name in ("ann", "bob", "eve")]
[t.start() for t in threads]
[t.join() for t in threads]
"""

NODE = """
let spent = 0;
async function agent(name) {
  for (let step = 0; step < 2; step++) {
    if (spent + 160 > 500) return;
    const body = { model: "gpt-x", max_tokens: 150, messages: [{ role: "user", content: `${name}, step ${step}` }] };
    const answer = await fetch(process.env.OPENAI_BASE_URL + "/chat/completions", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    spent += (await answer.json()).usage.total_tokens;
  }
}
Promise.all(["ann", "bob", "eve"].map(agent)).then(() => process.exit(0));
"""

SDK = """
import asyncio, openai
client = openai.AsyncOpenAI()
spent = 0
async def agent(name):
    global spent
    for step in range(2):
        if spent + 160 > 500:
            return
        answer = await client.chat.completions.create(
            model="gpt-x", max_tokens=150, messages=[{"role": "user", "content": f"{name}, step {step}"}])
        spent += answer.usage.total_tokens
async def main():
    await asyncio.gather(*map(agent, ("ann", "bob", "eve")))
asyncio.run(main())
"""

BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""

CAP = parse_cap("500tokens")


def commands(folder: Path, python: str | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the applications that can be run here, each by its name."""
    for name, text in (("threads.py", THREADS), ("node.cjs", NODE), ("sdk.py", SDK)):
        (folder / name).write_text(text)
    yield "asyncio", (sys.executable, str(APPLICATIONS / "check_then_act.py"))
    yield "threads", (sys.executable, str(folder / "threads.py"))
    yield "processes", (sys.executable, str(APPLICATIONS / "counter_per_process.py"))
    if node := shutil.which("node"):
        yield "node", (node, str(folder / "node.cjs"))
    if python:
        yield "openai", (python, str(folder / "sdk.py"))


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Keep the processors busy meanwhile."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def again(command: tuple[str, ...]) -> Callable[[], Judged]:
    """Return a function that runs an application under the plain schedule."""
    setting = Setting(command, CAP, limits=Limits(patience=30.0))
    return lambda: replay(setting, Schedule()).runs[0]


def speed(command: tuple[str, ...], runs: int) -> dict[str, float]:
    """Return runs a second, the seconds of the command alone, and those until the first overshoot."""
    run = again(command)
    run()
    began = perf_counter()
    for _ in range(runs):
        run()
    rate = runs / (perf_counter() - began)
    began = perf_counter()
    wired = check(Setting(command, CAP, runs=4))
    found = perf_counter() - began
    return {
        "runs_a_second": round(rate, 2),
        "runs_until_found": next((at for at, one in enumerate(wired.runs, 1) if one.overshoot), 0),
        "seconds_with_the_confirmation": round(found, 2),
    }


def differing(command: tuple[str, ...], runs: int) -> int:
    """Return how many runs of one schedule differ from the first one, in what happened or in its order.

    When it happened is another thing: that is by the clock of the machine.
    """
    run = again(command)
    first = run()
    did = [replace(one, at=0) for one in first.run.did]
    return sum(
        [replace(one, at=0) for one in other.run.did] != did or other.events != first.events
        for other in (run() for _ in range(runs))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--same", type=int, default=0, help="compare so many runs of one schedule")
    parser.add_argument("--busy", type=int, default=0, help="busy loops beside it")
    parser.add_argument("--python", help="a Python that has the openai package")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, busy(arguments.busy):
        for name, command in commands(Path(folder), arguments.python):
            rows[name] = differing(command, arguments.same) if arguments.same else speed(command, arguments.runs)
            if not arguments.json:
                print(f"{name:10} {rows[name]}", flush=True)
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
