"""Two models race for each answer, and the loser is cancelled: its hold is given back. Cured: its hold is spent."""

import asyncio

from plain import CURED, Failed, Ledger, ask, most, says, told

LIMIT = 150
budget = Ledger(700)


async def one(text: str) -> str | None:
    messages = says(text)
    hold = most(messages, LIMIT)
    if not budget.hold(hold):
        return None
    used = hold
    try:
        used = told(await ask(messages, LIMIT)) or hold
    except Failed:
        pass
    except asyncio.CancelledError:
        used = hold if CURED else 0
        raise
    finally:
        budget.settle(hold, used)
    return text


async def main() -> None:
    for step in range(4):
        racers = [asyncio.create_task(one(f"{way} answer to question {step}")) for way in ("a short", "a long")]
        done, late = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if all(task.result() is None for task in done):
            return


asyncio.run(main())
