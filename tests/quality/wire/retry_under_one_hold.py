"""A call is sent again after an error, under the hold of one. Cured: it holds room for all attempts."""

import asyncio

from plain import CURED, Failed, Ledger, ask, most, says, told

LIMIT, RETRIES = 150, 2
budget = Ledger(650)


async def attempt(step: int, retries: int) -> tuple[bool, bool]:
    """Return whether there was room, and whether an answer came."""
    messages = says(f"question {step}")
    hold = most(messages, LIMIT)
    if not budget.hold(hold):
        return False, False
    used, good = hold, True
    try:
        used = told(await ask(messages, LIMIT, retries)) or hold
    except Failed:
        good = False
    budget.settle(hold, used)
    return True, good


async def main() -> None:
    for step in range(4):
        for _ in range(RETRIES + 1 if CURED else 1):
            room, good = await attempt(step, 0 if CURED else RETRIES)
            if not room:
                return
            if good:
                break


asyncio.run(main())
