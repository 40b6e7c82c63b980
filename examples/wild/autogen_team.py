"""Two teams of AutoGen, each of which is to stop when it has used half of the tokens. Cured: a hold for each request.

10,000 tokens of output cost 0.10 dollars. They are counted when an agent has replied.
"""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, TokenUsageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from holding import CAP, CURED, LIMIT, OUTPUT, QUESTIONS, HoldingClient

from capsound_reference import Budget

held = {"http_client": HoldingClient(Budget(CAP))} if CURED else {}
model = OpenAIChatCompletionClient(model="gpt-4o", max_tokens=LIMIT, **held)


async def team(task: str) -> None:
    members = [AssistantAgent(name, model, system_message=f"You are {name}.") for name in ("author", "critic")]
    half = TokenUsageTermination(max_total_token=CAP // OUTPUT // 2) | MaxMessageTermination(6)
    try:
        result = await RoundRobinGroupChat(members, termination_condition=half).run(task=task)
        print(task, result.stop_reason)
    except Exception as error:  # one team is not to end the other
        print(task, type(error).__name__, str(error)[:200])


async def main() -> None:
    await asyncio.gather(*map(team, QUESTIONS[:2]))


asyncio.run(main())
