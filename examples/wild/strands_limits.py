"""Three agents of Strands, each limited to a third of the tokens. Cured: a hold for each request.

10,000 tokens of output cost 0.10 dollars. The limit is looked at before each call of the model, against what is told.
"""

import asyncio

from holding import CAP, CURED, LIMIT, OUTPUT, QUESTIONS, HoldingClient
from openai import AsyncOpenAI
from strands import Agent
from strands.models.openai import OpenAIModel

from capsound_reference import Budget

budget = Budget(CAP)


async def ask(question: str) -> None:
    client = AsyncOpenAI(http_client=HoldingClient(budget)) if CURED else AsyncOpenAI()
    model = OpenAIModel(client, model_id="gpt-4o", params={"max_tokens": LIMIT})
    agent = Agent(model, callback_handler=None, retry_strategy=None)
    try:
        result = await agent.invoke_async(question, limits={"total_tokens": CAP // OUTPUT // len(QUESTIONS)})
        print(question, result.stop_reason)
    except Exception as error:  # one agent is not to end the others
        print(question, type(error).__name__, str(error)[:100])


async def main() -> None:
    await asyncio.gather(*map(ask, QUESTIONS))


asyncio.run(main())
