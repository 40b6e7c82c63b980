"""Two workers, each with a count of its own of the one cap. Cured: each is given a half of it."""

import asyncio
import subprocess
import sys

from plain import CURED, Failed, Ledger, ask, most, says, told

LIMIT, CAP = 150, 700


async def work(name: str, cap: int) -> None:
    budget = Ledger(cap)
    for step in range(4):
        messages = says(f"worker {name}, step {step}")
        hold = most(messages, LIMIT)
        if not budget.hold(hold):
            return
        try:
            used = told(await ask(messages, LIMIT)) or hold
        except Failed:
            used = hold
        budget.settle(hold, used)


if sys.argv[2:3] == ["worker"]:
    asyncio.run(work(sys.argv[3], CAP // 2 if CURED else CAP))
else:
    how = "cured" if CURED else "racy"
    workers = [subprocess.Popen([sys.executable, __file__, how, "worker", name]) for name in ("1", "2")]
    for worker in workers:
        worker.wait()
