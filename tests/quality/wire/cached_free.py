"""Tokens that were read from a cache cost nothing. Cured: they cost what input costs."""

import asyncio

from plain import CURED, Failed, Ledger, ask, most, says

LIMIT = 30
BOOK = "a long text that is sent each time " * 40
budget = Ledger(1300)


async def main() -> None:
    for step in range(5):
        messages = says(f"question {step}", BOOK)
        hold = most(messages, LIMIT)
        if not budget.hold(hold):
            return
        used = hold
        try:
            if usage := (await ask(messages, LIMIT)).get("usage"):
                used = usage["total_tokens"]
                if not CURED:
                    used -= usage["prompt_tokens_details"]["cached_tokens"]
        except Failed:
            pass
        budget.settle(hold, used)


asyncio.run(main())
