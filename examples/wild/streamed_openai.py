"""Three streams, one left as soon as it has said enough, are counted by the usage that came. Cured: by their holds."""

import asyncio

from holding import CAP, CURED, LIMIT, QUESTIONS, cost, most
from openai import AsyncOpenAI, OpenAIError

from capsound_reference import Budget, BudgetRefused

client = AsyncOpenAI(max_retries=0)
budget = Budget(CAP)


async def ask(question: str) -> int | None:
    """Return what an answer cost, as far as it is told: the usage comes last, and nobody waits for it."""
    used = None
    stream = await client.chat.completions.create(
        model="gpt-4o",
        max_tokens=LIMIT,
        stream=True,
        stream_options={"include_usage": True},
        messages=[{"role": "user", "content": question}],
    )
    async with stream:
        async for chunk in stream:
            if chunk.usage is not None:
                used = cost(chunk.usage)
            if chunk.choices and chunk.choices[0].delta.content and question.startswith("Where"):
                break  # the first word is enough
    return used


async def agent(question: str) -> None:
    for said in (question, f"{question} Say it again."):
        try:
            with budget.call(most(said)) as hold:
                hold.sent()
                used = await ask(said)
                if used is not None:
                    hold.settle(used)
                elif not CURED:
                    hold.settle(0)  # nothing was told, so nothing is counted
        except (OpenAIError, BudgetRefused) as error:
            print(said, type(error).__name__)


async def main() -> None:
    await asyncio.gather(*map(agent, QUESTIONS))


asyncio.run(main())
