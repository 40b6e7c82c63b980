"""Applications for ``capsound wire --inside``, on the small client of ``fake_client``, and how tests run them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CLIENT = str(Path(__file__).resolve().parent / "fake_client")
sys.path.insert(0, CLIENT)  # before a real one, if one is installed

import httpx2  # noqa: E402

from capsound_checker.wire.billing import Billing  # noqa: E402
from capsound_checker.wire.inside.checking import search_of  # noqa: E402
from capsound_checker.wire.inside.driver import AGAIN, Inside, of_function  # noqa: E402
from capsound_checker.wire.inside.forking import Tree  # noqa: E402
from capsound_checker.wire.inside.session import Bounds  # noqa: E402
from capsound_checker.wire.money import parse_cap, tariff  # noqa: E402
from capsound_checker.wire.running import Run  # noqa: E402
from capsound_checker.wire.setting import Setting  # noqa: E402
from capsound_checker.wire.verdicts import Wired  # noqa: E402

URL = "http://127.0.0.1:9/v1/chat/completions"
MOST = 120
"""No bill of these applications is larger."""

BOUNDS, ANSWERS = Bounds(), Tree()

Main = Callable[[], Coroutine[Any, Any, Any]]


def body(text: str) -> dict[str, Any]:
    return {"model": "any", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}


async def ask(text: str, client: httpx2.AsyncClient | None = None) -> int | None:
    """Return how many tokens the answer says that it used, or None where it does not say."""
    response = await (client or httpx2.AsyncClient()).post(URL, body(text))
    if response.status_code != 200:
        raise httpx2.HTTPError(str(response.status_code))
    usage = json.loads(response.content).get("usage")
    return None if usage is None else int(usage["total_tokens"])


def independent(agents: int, calls: int) -> Main:
    """Agents that share nothing."""

    async def agent(number: int) -> None:
        for turn in range(calls):
            await ask(f"agent {number} turn {turn}")

    async def main() -> None:
        await asyncio.gather(*(agent(number) for number in range(agents)), return_exceptions=True)

    return main


def counting(cured: bool, cap: int = 300, agents: int = 3) -> Main:
    """Agents that look at a counter, call, and count; cured, they hold the most before."""

    async def main() -> None:
        taken = 0

        async def agent(number: int) -> None:
            nonlocal taken
            if taken + MOST > cap:
                return
            if cured:
                taken += MOST
            used = await ask(f"agent {number}")
            if used is not None:
                taken += used - (MOST if cured else 0)

        await asyncio.gather(*(agent(number) for number in range(agents)), return_exceptions=True)

    return main


def billing(cap: str) -> Billing:
    return Billing(tariff(parse_cap(cap).unit, (), datetime.now(UTC)))


def inside(main: Main, patience: float = 5.0, bounds: Bounds = BOUNDS) -> Inside:
    return of_function(main, billing("1tokens"), bounds=bounds, patience=patience)


def tree(one: Inside, what: Tree = ANSWERS) -> list[Run]:
    """Return all runs of a tree."""
    runs: list[Run] = []
    for went in one.go_through(what):
        if went is AGAIN:
            runs.clear()
        else:
            runs.append(went.run)
    return runs


def searched(main: Main, cap: str, runs: int = 2_000, *, patience: float = 5.0, cancels: bool = False) -> Wired:
    setting = Setting(("main",), parse_cap(cap), runs=runs, inside=True, cancels=cancels)
    with of_function(main, billing(cap), patience=patience) as one:
        return Wired(setting, search_of(setting, billing(cap), one).search())
