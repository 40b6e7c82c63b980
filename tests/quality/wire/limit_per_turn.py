"""A turn calls tools and asks again, and only its begin looks at the limit. Cured: each request looks at it."""

import asyncio

from plain import CURED, Failed, Ledger, Messages, ask, most, says, told

LIMIT = 150
budget = Ledger(380)


async def turn(text: str) -> bool:
    messages: Messages = says(text)
    if not CURED and most(messages, LIMIT) > budget.free:
        return False
    for step in range(3):
        hold = most(messages, LIMIT)
        if CURED and hold > budget.free:
            return False
        try:
            budget.spent += told(await ask(messages, LIMIT)) or hold
        except Failed:
            budget.spent += hold
        messages = [*messages, {"role": "assistant", "content": "Look it up."}, {"role": "user", "content": f"{step}"}]
    return True


async def main() -> None:
    for number in range(3):
        if not await turn(f"question {number}"):
            return


asyncio.run(main())
