"""A stream is left at its first word, so that its usage never comes. Cured: such a stream costs what was held."""

import asyncio
from contextlib import aclosing

from plain import CURED, Failed, Ledger, most, says, stream

LIMIT = 150
budget = Ledger(500)


async def main() -> None:
    for step in range(4):
        messages = says(f"question {step}")
        hold = most(messages, LIMIT)
        if not budget.hold(hold):
            return
        used, finished = 0, False
        try:
            async with aclosing(stream(messages, LIMIT)) as events:
                async for event in events:
                    if event.get("usage"):
                        used, finished = event["usage"]["total_tokens"], True
                    if event["choices"] and event["choices"][0]["delta"].get("content") and step % 2:
                        break  # enough
        except (Failed, OSError, ValueError, asyncio.IncompleteReadError):
            used, finished = hold, True
        budget.settle(hold, used if finished or not CURED else hold)


asyncio.run(main())
