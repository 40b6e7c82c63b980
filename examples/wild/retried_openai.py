"""A hold around each call, and inside it a client that sends a failed request again. Cured: a hold for each attempt."""

import asyncio

from holding import CAP, CURED, LIMIT, QUESTIONS, cost, most
from openai import AsyncOpenAI, OpenAIError

from capsound_reference import Budget, BudgetRefused

client = AsyncOpenAI(max_retries=0) if CURED else AsyncOpenAI()  # which repeats twice
budget = Budget(CAP)


async def ask(question: str) -> None:
    with budget.call(most(question)) as hold:
        hold.sent()
        reply = await client.chat.completions.create(
            model="gpt-4o", max_tokens=LIMIT, messages=[{"role": "user", "content": question}]
        )
        if reply.usage is not None:  # else all of it stays spent
            hold.settle(cost(reply.usage))


async def agent(question: str) -> None:
    for attempt in range(3 if CURED else 1):
        try:
            await ask(question)
            break
        except BudgetRefused as refused:
            print(question, refused)
            break
        except OpenAIError as error:
            print(question, attempt, type(error).__name__)
            await asyncio.sleep(0.02)


async def main() -> None:
    await asyncio.gather(*map(agent, QUESTIONS))


asyncio.run(main())
