"""Each sub-agent is given what its parent has left, and the parent forgets it. Cured: the parent pays for it first."""

import asyncio

from plain import CURED, Failed, Ledger, ask, most, says, told

LIMIT = 150


async def work(role: str, budget: Ledger) -> None:
    for step in range(3):
        messages = says(f"step {step}", f"You are the {role}.")
        hold = most(messages, LIMIT)
        if not budget.hold(hold):
            return
        try:
            used = told(await ask(messages, LIMIT)) or hold
        except Failed:
            used = hold
        budget.settle(hold, used)


async def main() -> None:
    parent = Ledger(900)
    for role in ("planner", "writer", "critic"):
        if CURED:
            share = min(parent.free, 360)
            parent.hold(share)
        else:
            share = parent.free
        child = Ledger(share)
        await work(role, child)
        if CURED:
            parent.settle(share, child.spent)


asyncio.run(main())
