"""Three agents look at one balance, and count only what has been answered. Cured: they hold before they send."""

import asyncio

from plain import CURED, Failed, Ledger, ask, most, says, together, told

LIMIT = 150
budget = Ledger(500)


async def racy(name: str) -> None:
    for step in range(2):
        messages = says(f"{name}, step {step}")
        if budget.spent + most(messages, LIMIT) > budget.cap:
            return
        try:
            used = told(await ask(messages, LIMIT))
        except Failed:
            used = None
        budget.spent += most(messages, LIMIT) if used is None else used


async def sound(name: str) -> None:
    for step in range(2):
        messages = says(f"{name}, step {step}")
        hold = most(messages, LIMIT)
        if not budget.hold(hold):
            return
        try:
            used = told(await ask(messages, LIMIT))
        except Failed:
            used = None
        budget.settle(hold, hold if used is None else used)


agent = sound if CURED else racy
asyncio.run(together(agent(name) for name in ("ann", "bob", "eve")))
