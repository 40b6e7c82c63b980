"""A manager of openai-agents that may take three turns, with agents as its tools. Cured: a hold for each request.

Three turns of at most 4,000 tokens cost less than 0.14 dollars. The turns of an agent that is a tool are counted by
themselves.
"""

import asyncio

from agents import Agent, ModelSettings, Runner, set_default_openai_client, set_tracing_disabled
from holding import CURED, LIMIT, HoldingClient
from openai import AsyncOpenAI

from capsound_reference import Budget

CAP = 140_000_000  # nano-dollars: 0.14 dollars
set_tracing_disabled(True)
client = AsyncOpenAI(http_client=HoldingClient(Budget(CAP))) if CURED else AsyncOpenAI()
set_default_openai_client(client, use_for_tracing=False)
short = ModelSettings(max_tokens=LIMIT)
experts = [
    Agent(name=name, model="gpt-4o", model_settings=short, instructions=f"You know {name}.").as_tool(
        name, f"Ask {name}"
    )
    for name in ("trains", "hotels", "museums")
]
manager = Agent(
    name="manager", model="gpt-4o", model_settings=short, instructions="Ask all, then answer.", tools=experts
)


async def main() -> None:
    try:
        result = await Runner.run(manager, "Plan a trip.", max_turns=3)
        print(result.final_output, result.context_wrapper.usage.requests)
    except Exception as error:
        print(type(error).__name__, str(error)[:200])


asyncio.run(main())
