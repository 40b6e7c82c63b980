"""Agents that ask by the client of OpenAI, three of them twice."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI, OpenAIError

CAP, MOST = 400, 120
spent = 0


async def ask(client: AsyncOpenAI, text: str) -> int | None:
    question = [{"role": "user", "content": text}]
    answer = await client.chat.completions.create(model="gpt-5-mini", messages=question, max_tokens=100)
    return answer.usage.total_tokens if answer.usage else None


async def independent() -> None:
    """Spend without a look at anything."""
    client = AsyncOpenAI()

    async def agent(number: int) -> None:
        for turn in range(2):
            await ask(client, f"agent {number} turn {turn}")

    await asyncio.gather(*map(agent, range(3)), return_exceptions=True)


async def racy() -> None:
    """Look at the counter, call, count."""
    client = AsyncOpenAI()

    async def agent(number: int) -> None:
        global spent
        for turn in range(2):
            if spent + MOST <= CAP:
                used = await ask(client, f"agent {number} turn {turn}")
                spent += used or 0

    await asyncio.gather(*map(agent, range(3)), return_exceptions=True)


async def cured() -> None:
    """Hold the most that a call can cost; what fails, or does not say what it used, stays held."""
    client = AsyncOpenAI(max_retries=0)

    async def agent(number: int) -> None:
        global spent
        for turn in range(2):
            if spent + MOST > CAP:
                return
            spent += MOST
            used = await ask(client, f"agent {number} turn {turn}")
            if used is not None:
                spent += used - MOST

    await asyncio.gather(*map(agent, range(3)), return_exceptions=True)


async def retried() -> None:
    """Hold room for one attempt of a client that makes three."""
    client = AsyncOpenAI(max_retries=2)

    async def agent(number: int) -> None:
        global spent
        if spent + MOST > CAP:
            return
        spent += MOST
        try:
            used = await ask(client, f"agent {number}")
        except OpenAIError:
            return
        if used is not None:
            spent += used - MOST

    await asyncio.gather(*map(agent, range(3)))
