"""Agents that ask by the client of Anthropic, in streams."""

from __future__ import annotations

import asyncio

from anthropic import AnthropicError, AsyncAnthropic

CAP, MOST = 300, 120
spent = 0


async def ask(client: AsyncAnthropic, text: str) -> int:
    question = [{"role": "user", "content": text}]
    async with client.messages.stream(model="claude-sonnet-4-5", messages=question, max_tokens=100) as stream:
        async for _ in stream.text_stream:
            pass
        usage = (await stream.get_final_message()).usage
    return usage.input_tokens + usage.output_tokens


async def racy() -> None:
    """Look at the counter, call, count."""
    client = AsyncAnthropic()

    async def agent(name: str) -> None:
        global spent
        if spent + MOST <= CAP:
            used = await ask(client, name)
            spent += used

    async with asyncio.TaskGroup() as group:
        for name in ("plan", "search", "write"):
            group.create_task(agent(name))


async def cured() -> None:
    """Hold the most that a call can cost, and keep it held: a stream may end early without an error."""
    client = AsyncAnthropic(max_retries=0)

    async def agent(name: str) -> None:
        global spent
        if spent + MOST > CAP:
            return
        spent += MOST
        try:
            async with asyncio.timeout(60):
                await ask(client, name)
        except (AnthropicError, TimeoutError):
            pass

    await asyncio.gather(*map(agent, ("plan", "search", "write")), return_exceptions=True)
