"""agent-watchdog 0.1.5: ``record_tokens`` adds what was used, and halts the run once its cost has reached the limit.

It halts once. A run that goes on after the exception, as after a tool call that failed, is not stopped again:

>>> from agent_watchdog import AgentWatchdog, WatchdogHalt
>>> watchdog, halted = AgentWatchdog(max_budget_usd=5, timeout_seconds=None, model="gpt-4o"), 0
>>> with watchdog.watch() as run:
...     for _ in range(4):
...         try:
...             run.record_tokens(token_in=3_000_000)
...         except WatchdogHalt:
...             halted += 1
... # doctest: +ELLIPSIS
[Watchdog HALT] ...
>>> halted
1
"""

import contextlib
import io

from adapting import within
from agent_watchdog import AgentWatchdog, WatchdogHalt
from agent_watchdog.watchdog import MODEL_PRICING

from capsound.adapter import Adapter, Gate

MODEL_PRICING["unit"] = {"in": 1_000, "out": 1_000}


class WatchdogAdapter(Adapter):
    """Call, record: nothing is asked before. One unit is a dollar; a token costs one."""

    gate = Gate.RECORD
    refused = (WatchdogHalt,)

    def open(self, cap: int) -> AgentWatchdog:
        """Begin a run that never ends."""
        watchdog = AgentWatchdog(max_budget_usd=within(cap), timeout_seconds=None, model="unit")
        watchdog.watch().__enter__()
        return watchdog

    def record(self, scope: AgentWatchdog, amount: int) -> None:
        """Add what was used; its messages are not shown."""
        with contextlib.redirect_stdout(io.StringIO()):
            scope.record_tokens(token_in=amount)
