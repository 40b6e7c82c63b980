"""Three agents with openai's client: each looks at what is spent, asks, and counts the answer. Cured: a hold first."""

import asyncio

from holding import CAP, CURED, LIMIT, QUESTIONS, cost, most
from openai import AsyncOpenAI, OpenAIError

from capsound_reference import Budget, BudgetRefused

client = AsyncOpenAI(max_retries=0)
budget = Budget(CAP)
spent = 0


async def ask(question: str) -> int:
    reply = await client.chat.completions.create(
        model="gpt-4o", max_tokens=LIMIT, messages=[{"role": "user", "content": question}]
    )
    return cost(reply.usage)


async def racy(question: str) -> None:
    global spent
    if spent + most(question) <= CAP:
        spent += await ask(question)


async def cured(question: str) -> None:
    with budget.call(most(question)) as hold:
        hold.sent()
        hold.settle(await ask(question))


async def agent(question: str) -> None:
    try:
        await (cured if CURED else racy)(question)
    except (OpenAIError, BudgetRefused, AttributeError) as error:
        print(question, type(error).__name__)


async def main() -> None:
    await asyncio.gather(*map(agent, QUESTIONS))


asyncio.run(main())
