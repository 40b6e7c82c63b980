"""What a coroutine needs that `check` does not have, and the cure: another one for each kind of need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Runs = Callable[..., Any]

NEEDS = {
    "await asyncio.get_running_loop().run_in_executor(None, print)": "storage that does not block",
    "await asyncio.to_thread(print)": "storage that does not block",
    "await asyncio.create_task(asyncio.sleep(0))": "instead of starting tasks",
    "await asyncio.gather(asyncio.sleep(0))": "instead of starting tasks",
    "await asyncio.wait_for(asyncio.sleep(0), 1)": "leave the time limit out",
    "await asyncio.sleep(1)": "`asyncio.sleep(0)`, which needs no clock",
    "raise AsyncLibraryNotFoundError('unknown async library, or not in async context')": "anyio and trio find no loop",
    "await asyncio.Event().wait()": "wait for a lock of asyncio by",
}


@pytest.mark.parametrize(
    ("body", "gate"),
    [
        *((body, "RESERVE") for body in NEEDS),
        *((body, "CALL") for body in NEEDS if "gather" in body or "thread" in body),
    ],
)
def test_what_needs_a_loop_has_a_cure_of_its_own(body: str, gate: str, tmp_path: Path, capsound: Runs) -> None:
    method = (
        f"    async def call(self, scope, estimate, provider):\n        {body}\n        return await provider()\n"
        if gate == "CALL"
        else f"    async def reserve(self, scope, amount):\n        {body}\n        return object()\n"
    )
    (tmp_path / "mine.py").write_text(
        "import asyncio\nfrom capsound.adapter import Adapter, Gate\n\n\n"
        "class AsyncLibraryNotFoundError(RuntimeError):\n    pass\n\n\n"
        f"class Mine(Adapter):\n    gate = Gate.{gate}\n\n    def open(self, cap):\n        return object()\n\n{method}"
    )
    ran = capsound("smoke", "mine.py:Mine", cwd=tmp_path)
    assert ran.status == 65
    assert NEEDS[body] in ran.out
