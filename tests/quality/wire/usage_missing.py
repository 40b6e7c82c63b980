"""An answer without usage costs nothing. Cured: it costs what was held."""

import asyncio

from plain import CURED, Failed, Ledger, ask, most, says

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
            answer = await ask(messages, LIMIT)
            used = answer.get("usage", {}).get("total_tokens", hold if CURED else 0)
        except Failed:
            pass
        budget.settle(hold, used)


asyncio.run(main())
