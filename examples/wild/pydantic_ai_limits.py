"""Three runs of pydantic-ai under one limit, by one usage that they share. Cured: a hold where requests leave."""

import asyncio
from decimal import Decimal

from holding import CAP, CURED, LIMIT, QUESTIONS, HoldingClient
from openai import AsyncOpenAI
from pydantic_ai import Agent, ModelSettings, RunUsage, UsageLimits
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from capsound_reference import Budget

client = AsyncOpenAI(http_client=HoldingClient(Budget(CAP))) if CURED else AsyncOpenAI()
model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(openai_client=client))
agent = Agent(model, model_settings=ModelSettings(max_tokens=LIMIT))
usage = RunUsage()
limits = UsageLimits(cost_limit=Decimal(CAP) / 10**9)


async def ask(question: str) -> None:
    try:
        await agent.run(question, usage=usage, usage_limits=limits)
    except Exception as error:  # one run is not to end the others
        print(question, type(error).__name__, str(error)[:100])


async def main() -> None:
    await asyncio.gather(*map(ask, QUESTIONS))
    print(usage)


asyncio.run(main())
