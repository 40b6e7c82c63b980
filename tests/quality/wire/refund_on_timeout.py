"""A call that takes too long is given up, and its hold given back. Cured: the hold of such a call is spent."""

import asyncio

from plain import CURED, Failed, Ledger, ask, most, says, told

LIMIT = 150
budget = Ledger(500)


async def main() -> None:
    for step in range(4):
        messages = says(f"question {step}")
        hold = most(messages, LIMIT)
        if not budget.hold(hold):
            return
        used = hold
        try:
            used = told(await asyncio.wait_for(ask(messages, LIMIT), 0.8)) or hold
        except TimeoutError:
            used = hold if CURED else 0
        except Failed:
            pass
        budget.settle(hold, used)


asyncio.run(main())
