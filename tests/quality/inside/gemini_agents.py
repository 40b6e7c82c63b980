"""Agents that ask by the client of Google: with the transport that it takes by itself, and with httpx2."""

from __future__ import annotations

import asyncio

import httpx2
from google import genai

CAP, MOST = 300, 120
spent = 0


async def agents(client: genai.Client) -> None:
    async def agent(name: str) -> None:
        global spent
        if spent + MOST <= CAP:
            limit = {"max_output_tokens": 100}
            answer = await client.aio.models.generate_content(model="gemini-2.5-flash", contents=name, config=limit)
            spent += answer.usage_metadata.total_token_count

    await asyncio.gather(*map(agent, ("plan", "search", "write")), return_exceptions=True)


async def racy() -> None:
    """Look at the counter, call, count."""
    await agents(genai.Client(http_options={"httpx_async_client": httpx2.AsyncClient()}))


async def by_aiohttp() -> None:
    """Let the client choose its transport: aiohttp, where that is installed."""
    await agents(genai.Client())
